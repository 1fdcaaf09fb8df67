"""An `Inspection` as rows of text."""

from edgekit.card import ModelCard, TensorSpec
from edgekit.identities import Verification
from edgekit.measure.inspect import Inspection
from edgekit.measure.targets import BUILT_IN, find_target
from edgekit.preprocessing import describe
from edgekit.ratings import Ratings
from edgekit.sequences import Sequences
from edgekit.two_files import companion_of
from edgekit.uncertainty import Uncertainty


def facts(inspection: Inspection) -> list[list[str]]:
    """(what, value) for the file as a whole."""
    artifact, card = inspection.artifact, inspection.artifact.card
    made_by = "not edgekit" if artifact.foreign else f"edgekit, recipe {artifact.recipe}"
    rows = [
        ["name", card.name],
        ["format", f"{artifact.format.value} ({', '.join(f'{k} {v}' for k, v in inspection.versions.items())})"],
        ["made by", made_by],
        ["size", _bytes(artifact.model_bytes)],
        ["parameters", _count(inspection.parameters)],
        ["MACs", _count(inspection.macs)],
        ["peak activations", _bytes(inspection.peak_activation_bytes)],
        ["weights", ", ".join(f"{k} {_bytes(v)}" for k, v in (inspection.weights_bytes or {}).items()) or "unknown"],
        ["custom operators", ", ".join(map(_custom, inspection.custom_operators)) or "none"],
        ["task", card.task or "unknown"],
        ["preprocessing", "unknown" if card.preprocessing is None else describe(card.preprocessing)],
        ["labels", "unknown" if card.labels is None else f"{len(card.labels)}"],
        *_uses(card),
        *_states(card.sequences),
        *_anomalies(card),
        *_rated(card.ratings),
        *_uncertain(card.uncertainty),
        *_verified(card.verification),
        *_second(card),
        ["sha256", artifact.sha256],
    ]
    return [[name, value.removesuffix(" ()")] for name, value in rows]


def _uncertain(stated: Uncertainty | None) -> list[list[str]]:
    if stated is None:
        return []
    names = ", ".join(noise.name for noise in stated.noises)
    passes = [["noise", f"{names}: drawn anew for each of {stated.passes} passes"]] if stated.noises else []
    limit = [] if stated.threshold is None else [["does not know", f"above {stated.threshold:.3g} nats of entropy"]]
    return [*passes, *limit]


def tensor_rows(inspection: Inspection) -> list[list[str]]:
    """(kind, name, shape, dtype, quantization) of every input and output."""
    tensors = [*(("input", s) for s in inspection.inputs), *(("output", s) for s in inspection.outputs)]
    return [[kind, s.name, _shape(s), s.dtype, _quantization(s)] for kind, s in tensors]


def operator_rows(inspection: Inspection) -> list[list[str]]:
    """(operator, version, count) of every kind of operator, the most frequent first."""
    return [[o.op, "" if o.version is None else str(o.version), str(o.count)] for o in inspection.operators]


def finding_rows(inspection: Inspection) -> list[list[str]]:
    """(severity, finding, remedy) of everything about the target, or one row that says there is nothing."""
    rows = [[f.severity.value, f.what, f.remedy] for f in inspection.findings]
    return rows or [["fits", f"nothing speaks against {inspection.target}", ""]]


def target_title(inspection: Inspection) -> str:
    """The target with the engine there, and where the rules are known from."""
    engine = find_target(str(inspection.target)).engines.get(inspection.artifact.format)
    return f"{inspection.target}: " + (f"{engine.name}, {engine.source}" if engine else "no engine for such files")


def _uses(card: ModelCard) -> list[list[str]]:
    """The row of the uses of a file, each with its outputs."""
    uses = [f"{name} ({', '.join(outputs)})" for name, outputs in card.signatures.items()]
    return [["uses", ", ".join(uses)]] if uses else []


def _states(sequences: Sequences | None) -> list[list[str]]:
    """The row of a file of one time step."""
    if sequences is None or not sequences.states:
        return []
    return [["states", ", ".join(state.input for state in sequences.states)]]


def _anomalies(card: ModelCard) -> list[list[str]]:
    """The rows of a table that a file takes, and the threshold of its score."""
    table, anomaly = card.tabular, card.anomaly
    columns = [] if table is None else [["columns", ", ".join(table.names)]]
    return columns + ([] if anomaly is None else [["threshold", f"score {anomaly.threshold:.4g} ({anomaly.chosen})"]])


def _rated(ratings: Ratings | None) -> list[list[str]]:
    """The row of a recommender."""
    if ratings is None:
        return []
    return [["rated items", f"{len(ratings.items):,}, from {ratings.lowest:g} to {ratings.highest:g}"]]


def _verified(how: Verification | None) -> list[list[str]]:
    """The row of a tower whose embeddings are compared."""
    if how is None:
        return []
    return [["threshold", f"the same at {how.rule}" if how.rule else "none, since it was not trained"]]


def _second(card: ModelCard) -> list[list[str]]:
    """The row of a model of two files."""
    companion = companion_of(card)
    return [] if companion is None else [["second file", f"{companion.name}, in the same folder"]]


def _custom(op: str) -> str:
    if op in BUILT_IN:
        return f"{op} (built into LiteRT)"
    return f"{op} (needs the Flex delegate)" if op.startswith("Flex") else op


def _shape(spec: TensorSpec) -> str:
    return " x ".join("any" if d is None else str(d) for d in spec.shape) or "scalar"


def _quantization(spec: TensorSpec) -> str:
    return f"(q - {spec.zero_point[0]}) * {spec.scale[0]:.6g}" if spec.quantized else ""


def _bytes(count: int | None) -> str:
    if count is None:
        return "unknown"
    return f"{count:,} bytes" if count < 100_000 else f"{count / 1e6:.2f} MB"


def _count(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
