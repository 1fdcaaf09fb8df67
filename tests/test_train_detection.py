"""Training of a detector from the command line to a file that finds what it learned."""

import json
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from scene_folder import coco_folder

from edgekit.artifact import open_artifact
from edgekit.detection import Head
from edgekit.models.build import build, build_with_weights
from edgekit.models.registry import find_spec

pytestmark = pytest.mark.timeout(300)

NARROW = ("--alpha", "0.1", "--size", "64")


def test_a_detector_is_trained_on_a_users_own_boxes_and_its_file_is_evaluated(tmp_path: Path) -> None:
    data, run = coco_folder(tmp_path / "scenes", 40), tmp_path / "run"
    train = ("train", "ssdlite_mobilenet_v2", *NARROW, "--data", data, "--epochs", "2", "--batch-size", "8", "-o", run)
    done = edgekit(*train, "--json", tmp_path / "train.json")
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2: loss " in done.stderr
    assert "; validation loss " in done.stderr
    assert ", map50 " in done.stderr
    (row,) = json.loads((tmp_path / "train.json").read_bytes())["results"]
    assert (row["n"], set(row["metrics"])) == (8, {"map", "map50"})
    assert row["data"].endswith(", 20% held out")
    card = open_artifact(run / "model.keras").card
    assert (card.task, card.labels) == ("detection", tuple("0123456789"))
    assert card.detection is not None
    assert (card.detection.head, len(card.detection.anchors)) == (Head.SSD, 6)
    assert [output.name for output in card.outputs] == ["boxes", "scores"]
    assert card.provenance.training is not None
    assert card.provenance.training.count == 32
    (first, second) = json.loads((run / "history.json").read_bytes())["epochs"]
    assert second["loss"] < first["loss"]
    assert {"anchor_accuracy", "val_loss", "val_map50", "seconds"} < set(first)
    done = edgekit("evaluate", run / "model.keras", "--data", data, "--json", tmp_path / "evaluate.json")
    assert done.returncode == 0, done.stderr
    (evaluated,) = json.loads((tmp_path / "evaluate.json").read_bytes())["results"]
    assert (evaluated["n"], evaluated["left_out"]) == (8, 32)
    for name in ("map", "map50"):
        assert evaluated["metrics"][name] == pytest.approx(row["metrics"][name], abs=1e-4)
    again = edgekit(*train)
    assert (again.returncode, "holds this very training, finished" in again.stderr) == (0, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--data", "digits"),
            "edgekit: digits has no boxes; training a detector needs the objects of each image.\n",
        ),
        (
            ("--preset", "book"),
            "edgekit: The preset book of ssdlite_mobilenet_v2 has no data set of its own; name one with --data.\n",
        ),
    ],
)
def test_a_detector_that_cannot_be_trained_is_refused(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = edgekit("train", "ssdlite_mobilenet_v2", *NARROW, *options, "-o", tmp_path / "run")
    assert (done.returncode, done.stderr) == (2, message)
    assert not (tmp_path / "run").exists()


def test_a_detector_starts_from_the_weights_of_its_backbone(tmp_path: Path) -> None:
    narrow = {"alpha": 0.1, "size": 64}
    done = edgekit("zoo", "build", "mobilenet_v2", *NARROW, "--seed", "5", "-o", tmp_path / "backbone.keras")
    assert done.returncode == 0, done.stderr
    spec = find_spec("ssdlite_mobilenet_v2")
    model, imported, arguments = build_with_weights(
        spec, tmp_path / "backbone.keras", classes=3, defaults={"momentum": 0.9}, arguments={"size": 96}
    )
    assert (arguments["alpha"], arguments["size"], arguments["classes"]) == (0.1, 96, 3)
    backbone = build(find_spec("mobilenet_v2"), seed=5, **narrow)
    fresh = build(spec, seed=0, **arguments)
    taken = [layer.name for layer in backbone.layers if layer.weights and layer.name != "logits"]
    for name in taken:
        for ours, theirs in zip(
            model.get_layer(name).get_weights(), backbone.get_layer(name).get_weights(), strict=True
        ):
            assert np.array_equal(ours, theirs), name
    assert not np.array_equal(model.get_layer("stem").get_weights()[0], fresh.get_layer("stem").get_weights()[0])
    assert np.array_equal(model.get_layer("scores_1").get_weights()[0], fresh.get_layer("scores_1").get_weights()[0])
    assert imported.provenance.source_format == "keras"


def test_a_detector_goes_on_from_its_own_file_with_other_classes(tmp_path: Path) -> None:
    done = edgekit("zoo", "build", "ssdlite_mobilenet_v2", *NARROW, "-o", tmp_path / "whole.keras")
    assert done.returncode == 0, done.stderr
    spec = find_spec("ssdlite_mobilenet_v2")
    source, _, same = build_with_weights(spec, tmp_path / "whole.keras", arguments={})
    other, _, arguments = build_with_weights(spec, tmp_path / "whole.keras", seed=1, classes=3, arguments={})
    assert (same["classes"], arguments["classes"]) == (80, 3)
    for name in ("stem", "boxes_1", "extra_1"):
        assert np.array_equal(source.get_layer(name).get_weights()[0], other.get_layer(name).get_weights()[0])
    assert other.get_layer("scores_1").get_weights()[0].shape[-1] == 6 // 2 * 4


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    done = edgekit("zoo", "build", "mobilenet_v1", *NARROW, "-o", tmp_path / "v1.keras")
    assert done.returncode == 0, done.stderr
    done = edgekit(
        "train", "ssdlite_mobilenet_v2", *NARROW, "--weights", tmp_path / "v1.keras", "--preset", "small", "-o",
        tmp_path / "run",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        f"edgekit: {tmp_path}/v1.keras holds mobilenet_v1, not mobilenet_v2; use it with mobilenet_v1 instead.\n",
    )
