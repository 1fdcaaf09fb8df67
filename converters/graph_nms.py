"""From a verified detector to one that chooses its boxes itself, proven to find the same in the real runtime."""

from dataclasses import replace

from edgekit.artifact import Format, open_artifact, with_card
from edgekit.codec import to_jsonable
from edgekit.converters.finish import Finished, outputs_folder, read_graph
from edgekit.converters.nms_parity import require_same_detections
from edgekit.converters.report import FloatOp
from edgekit.converters.samples import Samples
from edgekit.converters.workshop import Workshop
from edgekit.detection import POSTPROCESS_OP, Detection, Head
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.tasks.detection import Decoder, make_decoder

_OPERATORS = {Format.TFLITE: POSTPROCESS_OP, Format.ONNX: "NonMaxSuppression"}
_AS_IS = Preprocessing(size_hw=(1, 1), resize=Resize.STRETCH)
"""Boxes are compared in fractions of the input, whatever images become it."""


def choose_in_graph(finished: Finished, samples: Samples, shop: Workshop) -> Finished:
    """``finished``, which was verified, with its boxes decoded and chosen inside, in its place.

    `CheckFailedError` when the new file finds other objects in the items on which the old one was verified.
    """
    job, name = finished.job, finished.job.file_name
    outputs = Samples.open(outputs_folder(name, shop))
    artifact = open_artifact(finished.path)
    spec = artifact.card.detection
    assert spec is not None  # noqa: S101 - the plan refused what has no anchors
    device = replace(make_decoder(artifact, spec, _AS_IS), model=name)
    bare, path = shop.folder / f"bare.{name}", shop.folder / f"nms.{name}"
    request = {"source": str(finished.draft.path), "path": str(bare), "detection": to_jsonable(spec)}
    shop.engine(job.format, "suppress", {**request, "offsets": device.names[0], "scores": device.names[1]})
    after = in_graph(spec)
    card = replace(artifact.card, outputs=read_graph(bare, job.format).outputs, detection=after)
    path.write_bytes(with_card(bare.read_bytes(), card, job.format))
    graph = replace(make_decoder(open_artifact(path), after, _AS_IS), model=name)
    found = _compare(device, graph, path.name, samples, outputs, shop)
    before = finished.path.stat().st_size
    finished.path.write_bytes(path.read_bytes())
    left = FloatOp(name="detection_postprocess", op=_OPERATORS[job.format], reason="--nms graph chooses boxes in float")
    note = f"boxes are chosen in the graph, and the {found} found in {outputs.count} items are those of the device"
    return replace(
        finished,
        draft=replace(finished.draft, notes=(*finished.draft.notes, note)),
        ratio=finished.ratio * before / finished.path.stat().st_size,
        float_ops=(*finished.float_ops, *([left] if job.recipe.needs_calibration else [])),
    )


def in_graph(spec: Detection) -> Detection:
    """What a card says of the file whose graph does what ``spec`` tells; the thresholds stay."""
    return replace(spec, head=Head.SSD_POSTPROCESS, anchors=())


def _compare(device: Decoder, graph: Decoder, file: str, samples: Samples, outputs: Samples, shop: Workshop) -> int:
    again = outputs_folder(file, shop)
    request = {"path": str(shop.folder / file), "samples": str(samples.folder), "outputs": str(again)}
    shop.once("run_worker", "run", {**request, "count": outputs.count})
    other = Samples.open(again).arrays()
    return require_same_detections(device, graph, outputs.arrays(), other, what=device.model)
