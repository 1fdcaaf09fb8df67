"""``edgekit zoo`` and ``edgekit train`` as commands."""

import json
from pathlib import Path

import numpy as np
import pytest
from command import edgekit

from edgekit.artifact import open_artifact
from edgekit.models.registry import ZOO


def test_list_names_every_entry() -> None:
    done = edgekit("zoo", "list", "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert (data["schema_version"], data["command"]) == (1, "zoo list")
    assert [entry["name"] for entry in data["results"]] == [spec.name for spec in ZOO]
    table = edgekit("zoo", "list").stdout
    assert all(spec.name in table for spec in ZOO)


def test_show_puts_figures_beside_the_published_ones() -> None:
    done = edgekit("zoo", "show", "mobilenet_v1", "--alpha", "0.5", "--size", "160", env={"COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = {
        cells[1].strip(): [c.strip() for c in cells[2:4]] for cells in map(_cells, done.stdout.splitlines()) if cells
    }
    assert rows["parameters (trained)"] == ["1,331,592", "4,200,000 for its arguments"]
    assert rows["alpha"] == ["0.5", "1.0"]


def test_a_preset_shows_and_builds_what_it_trains(tmp_path: Path) -> None:
    done = edgekit("zoo", "show", "lenet5", "--preset", "small", "--json", "-")
    (entry,) = json.loads(done.stdout)["results"]
    assert (entry["arguments"]["channels"], entry["metrics"]["parameters"]) == (3, 62_006)
    done = edgekit("zoo", "build", "lenet5", "--preset", "small", "--classes", "3", "-o", tmp_path / "m.keras")
    assert done.returncode == 0, done.stderr
    card = open_artifact(tmp_path / "m.keras").card
    assert (card.inputs[0].shape, card.outputs[0].shape) == ((None, 32, 32, 3), (None, 3))


def _cells(line: str) -> list[str]:
    return line.split("│") if line.startswith("│") else []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("zoo", "show", "mobilnet_v2"), "There is no model 'mobilnet_v2' in the zoo; did you mean mobilenet_v2?"),
        (("zoo", "build", "cn", "-o", "{tmp}/m.keras"), "There is no model 'cn' in the zoo; did you mean cnn?"),
        (("zoo", "build", "cnn", "--alpha", "0.5", "-o", "{tmp}/m.keras"), "cnn takes no 'alpha'; choose one of: "),
        (("zoo", "show", "vgg16", "--preset", "smal"), "vgg16 has no preset 'smal'; did you mean small?"),
        (("zoo", "build", "cnn", "-o", "{tmp}/m.tflite"), "A model is written as a .keras file; got {tmp}/m.tflite: "),
        (("train", "mlpp", "-o", "{tmp}/run"), "There is no model 'mlpp' in the zoo; did you mean mlp?"),
        (("train", "mlp", "--preset", "bok", "-o", "{tmp}/run"), "mlp has no preset 'bok'; did you mean book?"),
        (("train", "mlp", "--data", "mnits", "-o", "{tmp}/run"), "There is no data set or path 'mnits'; did you mean "),
    ],
)
def test_wrong_usage_is_one_sentence_and_writes_nothing(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = edgekit(*(a.format(tmp=tmp_path) for a in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith("edgekit: " + message.format(tmp=tmp_path))
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_build_writes_a_file_once(tmp_path: Path) -> None:
    target = tmp_path / "m.keras"
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\n")
    arguments = ("zoo", "build", "mlp", "--classes", "3", "--labels", labels, "-o", target)
    first = edgekit(*arguments, "--json", tmp_path / "out.json")
    assert first.returncode == 0, first.stderr
    entry = json.loads((tmp_path / "out.json").read_bytes())["results"][0]
    assert (entry["artifact"], entry["sha256"]) == (str(target), open_artifact(target).sha256)
    assert open_artifact(target).card.labels == ("a", "b", "c")
    again = edgekit(*arguments)
    assert again.returncode == 2
    assert again.stderr == f"edgekit: {target} exists; use --force to replace it or -o to write elsewhere.\n"


def test_train_tells_each_epoch_and_the_test_metric(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    data = tmp_path / "bright.npz"
    labels = np.arange(60) % 2
    pixels = (random.integers(0, 100, (60, 28, 28)) + 120 * labels[:, None, None]).astype(np.uint8)
    np.savez(data, x_train=pixels[:40], y_train=labels[:40], x_test=pixels[40:], y_test=labels[40:])
    done = edgekit("train", "dfn", "--data", data, "--epochs", "2", "-o", tmp_path / "run", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    entry = json.loads(done.stdout)["results"][0]
    assert entry["n"] == 20
    assert entry["data"] == "bright"
    assert 0 <= entry["metrics"]["top1"] <= 1
    low, high = entry["intervals"]["top1"]
    assert low <= entry["metrics"]["top1"] <= high
    assert (tmp_path / "run" / "model.keras").is_file()
    again = edgekit("train", "dfn", "--data", data, "--epochs", "2", "-o", tmp_path / "run", "--json", "-")
    assert again.stderr == f"{tmp_path / 'run'} holds this very training, finished; --force trains anew.\n"
    assert json.loads(again.stdout)["results"] == [entry]
