"""How to convert a model: precision, granularity, what stays float, how it is calibrated."""

import re
from dataclasses import dataclass
from enum import StrEnum

from edgekit.errors import InputError, suggest

CALIBRATION_SAMPLES = 200


class Precision(StrEnum):
    """Number formats of a converted model, named as the command line names its recipes."""

    FP32 = "fp32"
    FP16 = "fp16"
    DYNAMIC = "dynamic"
    INT8 = "int8"
    INT16X8 = "int16x8"


class Granularity(StrEnum):
    """Over what one weight scale is shared."""

    PER_CHANNEL = "per-channel"
    PER_TENSOR = "per-tensor"


class AccuracyStep(StrEnum):
    """What is done to a float network so that int8 costs it less, in the order in which it is done."""

    PAIRS = "pairs"  # ONNX: eight bits for weights, fewer just where a pair of products would overflow
    EQUALIZE = "equalize"  # channels of one activation equally large
    RANGES = "ranges"  # activation ranges of least squared error, not from smallest to largest value
    SPLIT = "split"  # channels that never change carry copies of those that suffer most from rounding
    BIAS = "bias"  # biases that undo the mean shift of rounding the weights
    ROUND = "round"  # weights rounded up or down so that errors cancel; biases undo what is left, layer by layer


class InterfaceType(StrEnum):
    """Type of the model's inputs and outputs. ``float`` puts quantize and dequantize steps inside the file."""

    INT8 = "int8"
    FLOAT = "float"


class Batch(StrEnum):
    """Leading dimension of the converted model: always one item, or any number of them."""

    STATIC = "static"
    DYNAMIC = "dynamic"


class Nms(StrEnum):
    """Where a detector's boxes are decoded and chosen: by what runs the file, or by the file itself."""

    DEVICE = "device"
    GRAPH = "graph"


class Rnn(StrEnum):
    """How the recurrent layers of a model become operators.

    ``auto`` leaves the choice to the conversion, which reports it: by format, layer and precision.
    """

    AUTO = "auto"
    FUSED = "fused"  # one operator for a layer and all its time steps
    UNROLLED = "unrolled"  # every time step written out
    STEP = "step"  # a model of one time step, whose states are inputs and outputs


NEEDS_CALIBRATION = frozenset({Precision.INT8, Precision.INT16X8})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to convert. Hashable; to and from JSON by `edgekit.codec`.

    ``keep_float`` and ``exclude`` hold regular expressions on names of layers: those that stay in float, and those
    whose weights ``steps`` leave as they are. ``interface`` matters to the integer precisions only, ``steps`` to int8
    only. ``portable`` asks for int8 files that give the same bits on every CPU: it changes ONNX files, and TFLite
    files do so without. ``nms`` matters to detectors only, ``rnn`` to recurrent networks. ``calibration_samples`` items
    are drawn with ``seed`` from the calibration data.
    """

    precision: Precision
    granularity: Granularity = Granularity.PER_CHANNEL
    steps: tuple[AccuracyStep, ...] = tuple(AccuracyStep)
    interface: InterfaceType = InterfaceType.INT8
    batch: Batch = Batch.STATIC
    portable: bool = False
    nms: Nms = Nms.DEVICE
    rnn: Rnn = Rnn.AUTO
    keep_float: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    calibration_samples: int = CALIBRATION_SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.calibration_samples < 1:
            raise InputError(f"A recipe calibrates on at least 1 sample; got {self.calibration_samples}.")
        if self.seed < 0:
            raise InputError(f"A seed is zero or positive; got {self.seed}.")
        if self.portable and self.precision is not Precision.INT8:
            raise InputError(f"Only int8 gives the same bits on every CPU; got a portable {self.code}: leave that out.")
        if self.portable and self.keep_float:
            raise InputError(
                f"Layers in float differ between CPUs; got a portable recipe that keeps {self.keep_float[0]!r} in "
                "float: leave one of the two out."
            )
        if self.nms is Nms.GRAPH and self.portable:
            raise InputError(
                "A graph chooses boxes in float, which differs between CPUs; got a portable recipe with --nms graph: "
                "leave one of the two out."
            )
        if self.nms is Nms.GRAPH and self.batch is Batch.DYNAMIC:
            raise InputError(
                "A graph chooses the boxes of one item at a time; got a dynamic batch with --nms graph: leave one of "
                "the two out."
            )
        options = {"--keep-float": self.keep_float, "--exclude": self.exclude}
        for option, pattern in ((option, pattern) for option, given in options.items() for pattern in given):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(
                    f"{option} {pattern!r} is not a regular expression: {error}; put a backslash before a character "
                    "that is meant as it stands."
                ) from None

    @property
    def code(self) -> str:
        """The short name used in file names and tables, such as ``int8``."""
        return self.precision.value

    @property
    def needs_calibration(self) -> bool:
        """Whether activation ranges must be measured on real data."""
        return self.precision in NEEDS_CALIBRATION


def parse_precision(name: str) -> Precision:
    """The precision called ``name``; `InputError` offers the closest when there is none.

    >>> parse_precision("int8")
    <Precision.INT8: 'int8'>
    """
    try:
        return Precision(name)
    except ValueError:
        raise InputError(f"There is no recipe {name!r}; {suggest(name, [p.value for p in Precision])}") from None
