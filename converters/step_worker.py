"""The process that makes a Keras model of one time step, and runs it over sequences for what it is calibrated on."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.converters.one_step import one_step
from edgekit.converters.tf_worker import ends, load_model
from edgekit.workers import Json, Progress, serve

Array = npt.NDArray[Any]


def build(request: Json, _progress: Progress) -> Json:
    """Write ``path``: the model of one step of the Keras model ``source``; its states, input and output."""
    source = Path(request["source"])
    whole = load_model(source)
    (first, *_), (last, *_) = ends(whole)
    step = one_step(whole, source, input_name=first, output_name=last)
    step.model.save(request["path"])
    return {
        "states": [[state.input, state.output] for state in step.states],
        "inputs": [[tensor.name, list(tensor.shape), tensor.dtype] for tensor in step.model.inputs],
        "outputs": [[name, list(tensor.shape), tensor.dtype] for name, tensor in step.model.output.items()],
    }


def states(request: Json, progress: Progress) -> Json:
    """Write what the step model ``path`` takes at some steps of ``sequences`` into ``out``, an array for each input.

    ``sequences`` (count, steps, ...) has the first ``lengths`` of its steps; ``moments`` of each are taken: the one at
    which the states are largest, and others drawn with ``seed``.
    """
    import tensorflow as tf

    model, pairs = load_model(Path(request["path"])), request["states"]
    sequences, lengths = np.load(request["sequences"]), np.asarray(request["lengths"])
    run = tf.function(lambda tensors: model(tensors, training=False))
    state = {t.name: np.zeros((len(sequences), *t.shape[1:]), np.float32) for t in model.inputs[1:]}
    kept: list[dict[str, Array]] = []
    for step in range(sequences.shape[1]):
        kept.append(state)
        given = [tf.constant(values) for values in (sequences[:, step], *state.values())]
        outputs = run(given)
        state = {name: outputs[after].numpy() for name, after in pairs}
        progress("running the model over sequences", step + 1, sequences.shape[1])
    moments = _moments(kept, lengths, int(request["moments"]), int(request["seed"]))
    first = model.inputs[0].name
    found = {first: np.stack([sequences[row, step] for row, step in moments])}
    found |= {name: np.stack([kept[step][name][row] for row, step in moments]) for name, _ in pairs}
    for number, values in enumerate(found.values()):
        np.save(Path(request["out"]) / f"{number}.npy", values)
    return {"names": list(found)}


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
