"""The process that makes a Keras model of one time step, and runs it over sequences for what it is calibrated on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.converters.one_step import OneStep, one_step
from edgekit.converters.tf_worker import ends, load_model
from edgekit.errors import InputError
from edgekit.workers import Json, Progress, serve

Array = npt.NDArray[Any]
Pairs = Sequence[Sequence[str]]

COMPARED = 20
"""Steps of a random sequence at which the step model must answer as the whole one does."""
_TOLERANCE = 1e-3  # of the largest answer: rounding of float32 is far below, anything built wrong far above


def build(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the model of one step of the Keras model ``source``; its states, inputs and outputs, and whether
    layers within a step are recurrent too.
    """
    import keras

    source = Path(request["source"])
    whole = load_model(source)
    (first, *_), (last, *_) = ends(whole)
    step = one_step(whole, source, input_name=first, output_name=last)
    require_same(whole, step, source)
    step.model.save(request["path"])
    return {
        "states": [[state.input, state.output] for state in step.states],
        "inputs": [[tensor.name, list(tensor.shape), tensor.dtype] for tensor in step.model.inputs],
        "recurrent": any(isinstance(layer, keras.layers.RNN) for layer in step.model._flatten_layers()),
        "outputs": [[name, list(tensor.shape), tensor.dtype] for name, tensor in step.model.output.items()],
    }


def require_same(whole: Any, step: OneStep, path: Path) -> None:
    """`InputError` unless the model of one ``step`` answers a random sequence as the ``whole`` one from ``path``.

    An answer without axis of time is that to the last step, so that all steps have to be run.
    """
    import keras

    values = _random(whole)
    (answer,) = keras.tree.flatten(whole(values, training=False))
    expected = np.asarray(answer, np.float32)[0]
    name, output = next(iter(step.model.output.items()))
    timed = expected.ndim == len(output.shape)
    count = min(COMPARED, values.shape[1]) if timed else values.shape[1]
    answers = [
        outputs[name].numpy()[0]
        for _, outputs in _walk(step.model, [(state.input, state.output) for state in step.states], values[:, :count])
    ]
    got, wanted = (np.stack(answers), expected[:count]) if timed else (answers[-1], expected)
    error = np.abs(got - wanted).max() / max(np.abs(wanted).max(), np.finfo(np.float32).tiny)
    if not error <= _TOLERANCE:  # NaN too
        raise InputError(
            f"{path} cannot be streamed, as its model of one step does not answer a random sequence as the whole model "
            f"does: they differ by {error:.1%} of the largest answer: leave --rnn step out."
        )


def states(request: Json, progress: Progress) -> Json:
    """Write what the step model ``path`` takes at some steps of ``sequences`` into ``out``, an array for each input.

    ``sequences`` (count, steps, ...) has the first ``lengths`` of its steps; ``moments`` of each are taken: the one at
    which the states are largest, and others drawn with ``seed``.
    """
    model, pairs = load_model(Path(request["path"])), request["states"]
    sequences, lengths = np.load(request["sequences"]), np.asarray(request["lengths"])
    kept: list[dict[str, Array]] = []
    for state, _ in _walk(model, pairs, sequences):
        kept.append(state)
        progress("running the model over sequences", len(kept), sequences.shape[1])
    moments = _moments(kept, lengths, int(request["moments"]), int(request["seed"]))
    first = model.inputs[0].name
    found = {first: np.stack([sequences[row, step] for row, step in moments])}
    found |= {name: np.stack([kept[step][name][row] for row, step in moments]) for name, _ in pairs}
    for number, values in enumerate(found.values()):
        np.save(Path(request["out"]) / f"{number}.npy", values)
    return {"names": list(found)}


def _walk(model: Any, pairs: Pairs, sequences: Array) -> Iterator[tuple[dict[str, Array], dict[str, Any]]]:
    """The states before each step of ``sequences`` (count, steps, ...), zeros at first, and the outputs of the step."""
    import tensorflow as tf

    run = tf.function(lambda tensors: model(tensors, training=False))
    state = {t.name: np.zeros((len(sequences), *t.shape[1:]), np.float32) for t in model.inputs[1:]}
    for step in range(sequences.shape[1]):
        outputs = run([tf.constant(values) for values in (sequences[:, step], *state.values())])
        yield state, outputs
        state = {name: outputs[after].numpy() for name, after in pairs}


def _random(whole: Any) -> Array:
    """One random sequence that the ``whole`` model takes; of tokens that are no padding where it has a vocabulary."""
    first, random = whole.inputs[0], np.random.default_rng(0)
    shape = (1, first.shape[1] or COMPARED, *first.shape[2:])
    sizes = [layer.input_dim for layer in whole._flatten_layers() if type(layer).__name__ == "Embedding"]
    if not sizes and first.dtype.startswith("float"):
        return random.normal(size=shape).astype(first.dtype)
    most = min(sizes, default=2)
    return random.integers(min(1, most - 1), most, shape).astype(first.dtype)


def _moments(kept: list[dict[str, Array]], lengths: Array, count: int, seed: int) -> list[tuple[int, int]]:
    """(sequence, step) of what calibrates."""
    size = np.array([[max(np.abs(values[row]).max() for values in state.values()) for state in kept]
                     for row in range(len(lengths))])  # fmt: skip
    random, found = np.random.default_rng(seed), []
    for row, length in enumerate(lengths):
        drawn = random.permutation(length)[:count]
        drawn[0] = int(np.argmax(size[row, :length]))
        found += [(row, int(step)) for step in np.unique(drawn)]
    return found


if __name__ == "__main__":
    serve({"build": build, "states": states})
