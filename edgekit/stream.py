"""Running a model of one time step: one character, row or frame in, one answer out, for as long as they come."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact, open_artifact
from edgekit.card import TensorSpec
from edgekit.errors import CardError, DataError, InputError
from edgekit.feeding import Feeder
from edgekit.runtimes import Runtime, open_runtime
from edgekit.runtimes.base import dequantize, quantize
from edgekit.sequences import Encoding, Scaling, Sequences, Series
from edgekit.tasks.series import encode_window
from edgekit.tasks.texts import token_ids

Array = npt.NDArray[Any]


class Stream:
    """The step file at ``path``, with its states: all zeros at first, and what the last step left from then on::

        with edgekit.Stream("char_lstm.step.int8.tflite") as stream:
            logits = [stream.push(character) for character in "Well, Prince"]

    An answer is float32 without batch axis. A forecast of a series that is scaled by the last value of its window is
    made from a window that ends with the row pushed: the file runs through the rows of that window from zero states, as
    no row keeps its scale; it is a value of the series then, no scaled one. Not for several threads at a time.

    `InputError` for a file that is none of one time step, `DataError` for an item that it does not take.
    """

    def __init__(self, path: str | Path, *, threads: int = 1, engine: str | None = None) -> None:
        artifact = open_step_file(Path(path))
        told = artifact.card.sequences
        assert told is not None  # noqa: S101 - it has states
        self._model: _Model | None = _Model(
            open_runtime(artifact.path, threads=threads, engine=engine), told, artifact.path
        )
        scaled = told.series is not None and told.series.scaling is Scaling.LAST
        self._window = _Window(told.series) if scaled and told.series is not None else None

    def push(self, item: str | int | Array) -> Array:
        """What the model answers to ``item``: a token, its number, a row of a series, or an array as its input is."""
        model = self._opened()
        if self._window is None:
            return model.step(item)
        rows, scale = self._window.add(item)
        model.reset()
        return [model.step(row) for row in rows][-1] * np.float32(scale)

    def reset(self) -> None:
        """Begin a new sequence."""
        self._opened().reset()
        if self._window is not None:
            self._window.rows.clear()

    def close(self) -> None:
        """Let the engine go; nothing can be pushed from then on."""
        self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> "_Model":
        if self._model is None:
            raise InputError("The Stream is closed; open the file again.")
        return self._model


def stream_outputs(
    file: Path | Runtime, items: str | Iterable[Any], *, sequences: Sequences | None = None
) -> npt.NDArray[np.float32]:
    """What a step file answers to each of ``items``, in turn from zero states: (steps, ...) as its output is.

    ``items`` is a text or what a `Stream` takes; ``sequences`` is what the card says where ``file`` is a runtime.
    Rows of a series are given as they are, whatever the scaling.
    """
    if isinstance(file, Path):
        artifact = open_step_file(file)
        file, sequences, where = open_runtime(artifact.path), artifact.card.sequences, artifact.path
    else:
        where = Path("The file")
    if sequences is None or not sequences.states:
        raise InputError(f"{where} has no states by its card; expected a file of one time step.")
    if isinstance(items, str) and sequences.text is not None:
        items = [int(number) for number in token_ids(items, sequences.text.vocabulary)]
    model = _Model(file, sequences, where)
    answers = [model.step(item) for item in items]
    return np.stack(answers) if answers else np.zeros((0, *(d or 1 for d in model.output.shape[1:])), np.float32)


def open_step_file(path: Path) -> Artifact:
    """The file of one time step at ``path``; `InputError` says how to get one where it is another."""
    artifact = open_artifact(path)
    told = artifact.card.sequences
    if told is not None and told.states:
        return artifact
    if artifact.foreign:
        what = "has no card that tells of states"
    elif told is None:
        what = "takes no sequences"
    else:
        what = "takes whole sequences"
    raise InputError(
        f"{path} {what}, and a stream needs a file of one time step: make one from a recurrent Keras model with "
        "edgekit convert MODEL.keras --rnn step."
    )


class _Window:
    """The last rows of a series."""

    def __init__(self, how: Series) -> None:
        self.rows: deque[Array] = deque(maxlen=how.length)
        self._how = how

    def add(self, row: Any) -> tuple[Array, float]:
        """The rows up to and with ``row``, scaled for the model, and what they were divided by."""
        try:
            values = np.asarray(row, np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{row!r} is no number or row of numbers; push one of the series.") from None
        columns = len(self._how.columns)
        if values.shape not in ((columns,), ()) or (values.ndim == 0 and columns != 1):
            raise DataError(
                f"A row of the series has {values.size} values; the model takes {columns}: "
                f"{', '.join(self._how.columns)}."
            )
        rows = np.array([*self.rows, values.reshape(columns)])[-self._how.length :]
        # The first rows are fewer than a window, and their last is what all are divided by as well.
        window = np.concatenate([np.repeat(rows[:1], self._how.length - len(rows), axis=0), rows])
        scaled = encode_window(window, self._how)[-len(rows) :]
        self.rows.append(values.reshape(columns))
        return scaled, float(rows[-1, 0])


class _Model:
    """A runtime with the states that its last step left."""

    def __init__(self, runtime: Runtime, told: Sequences, where: Path) -> None:
        inputs, outputs = ({spec.name: spec for spec in specs} for specs in (runtime.inputs, runtime.outputs))
        pairs = [(inputs.pop(s.input, None), outputs.pop(s.output, None)) for s in told.states]
        self._pairs = [(a, b) for a, b in pairs if a is not None and b is not None and a.shape == b.shape]
        if len(self._pairs) < len(told.states) or len(inputs) != 1 or len(outputs) != 1:
            raise CardError(
                f"{where} and its card disagree on its states; expected an input and an output of one shape for each, "
                "and one input and one output beside: convert the model again."
            )
        (self._input,), (self.output,) = inputs.values(), outputs.values()
        self._runtime, self._told = runtime, told
        self._feeder = Feeder((self._input,), None)
        off_on = np.array([0, 1], np.float32)
        self._off, self._on = quantize(off_on, self._input) if self._input.quantized else off_on
        self.reset()

    def reset(self) -> None:
        self._states = {before.name: _zeros(before) for before, _ in self._pairs}

    def step(self, item: Any) -> npt.NDArray[np.float32]:
        outputs = self._runtime.run({self._input.name: self._values(item)[None], **self._states})
        self._states = {before.name: _handed_on(outputs[after.name], before, after) for before, after in self._pairs}
        answer = outputs[self.output.name]
        real = dequantize(answer, self.output) if self.output.quantized else answer.astype(np.float32, copy=False)
        first: npt.NDArray[np.float32] = real[0]
        return first

    def _values(self, item: Any) -> Array:
        """``item`` as the input takes it, without batch axis."""
        text = self._told.text
        if isinstance(item, str) and text is not None:
            ids = token_ids(item, text.vocabulary)
            if len(ids) != 1:
                raise DataError(f"{item!r} is {len(ids)} tokens; a stream takes one at a time: push each by itself.")
            item = int(ids[0])
        if isinstance(item, str):
            raise DataError(f"{item!r} is text, and the model's card has no vocabulary: push arrays.")
        if (
            text is not None
            and np.ndim(item) == 0
            and (isinstance(item, bool) or not isinstance(item, (int, np.integer)))
        ):
            raise DataError(f"{item!r} is no token; push a {text.vocabulary.level}, its number, or an array.")
        if text is not None and isinstance(item, (int, np.integer)):
            count = len(text.vocabulary.tokens)
            if not 0 <= item < count:
                raise DataError(f"There is no token {item}; the model knows those from 0 to {count - 1}.")
            if text.encoding is Encoding.INDEX:
                return np.array(item, self._input.dtype)
            one_hot = np.full(count, self._off)
            one_hot[item] = self._on
            return one_hot
        values: Array = np.asarray(item)
        if self._told.series is not None and values.dtype.kind in "iuf":
            values = np.atleast_1d(values).astype(np.float32)
        return self._feeder.fit(values)[self._input.name]


def _zeros(spec: TensorSpec) -> Array:
    zero = spec.zero_point[0] if spec.quantized else 0
    return np.full([d or 1 for d in spec.shape], zero, spec.dtype)


def _handed_on(values: Array, before: TensorSpec, after: TensorSpec) -> Array:
    """What an output gave as the next step's input: as it is, where both mean the same by their integers."""
    same = (before.dtype, before.scale, before.zero_point) == (after.dtype, after.scale, after.zero_point)
    return values if same or not after.quantized else dequantize(values, after)
