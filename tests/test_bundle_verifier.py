"""Bundles of what compares pictures: a tower, and the head that its card names."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import results, run, seal, unpack
from command import edgekit
from tiny_verifier import head, pictures, verifier

from edgekit.bundle import make_bundle
from edgekit.companion import Companion
from edgekit.errors import InputError
from edgekit.files import sha256_file


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a tower with golden pictures of people, which lie beside it."""
    folder = tmp_path_factory.mktemp("faces")
    make_bundle([verifier(folder)], folder / "v.zip", data=str(pictures(folder / "people")), samples=4)
    return folder / "v.zip"


def test_a_tower_brings_its_head_with_pairs_of_golden_embeddings(faces: Path, tmp_path: Path) -> None:
    folder = unpack(faces, tmp_path)
    told = json.loads((folder / "manifest.json").read_text())["entries"]
    assert [(entry["file"], entry["second"]) for entry in told] == [
        ("models/v.onnx", "v.head.onnx"), ("models/v.head.onnx", None),
    ]  # fmt: skip
    (embeddings,) = (np.load(folder / name) for name in told[0]["golden"]["outputs"])
    first, second = (np.load(folder / name) for name in told[1]["golden"]["inputs"])
    (distances,) = (np.load(folder / name) for name in told[1]["golden"]["outputs"])
    np.testing.assert_array_equal(first, embeddings)
    np.testing.assert_array_equal(second, np.roll(embeddings, -1, axis=0))
    np.testing.assert_allclose(distances[:, 0], np.square(first - second).sum(axis=1), rtol=1e-5)
    assert len(distances) == 4
    assert distances.min() > 0


def test_tower_and_head_are_proven_on_the_device(faces: Path) -> None:
    rows = results(faces, "verify")
    assert [(row["artifact"], row["check"], row["passed"]) for row in rows] == [
        ("v.onnx", "preprocessing", True), ("v.onnx", "outputs", True), ("v.head.onnx", "outputs", True),
    ]  # fmt: skip


def test_another_head_is_noticed(faces: Path, tmp_path: Path) -> None:
    folder = unpack(faces, tmp_path)
    path = folder / "models/v.head.onnx"
    model = onnx.load(str(path))
    model.graph.node[1].op_type = "Add"
    onnx.save(model, str(path))
    seal(folder)
    done = run(folder, "verify")
    assert done.returncode == 1
    assert "NO  v.head.onnx: outputs: " in done.stdout


def test_embeddings_that_differ_agree_in_no_class(faces: Path, tmp_path: Path) -> None:
    folder = unpack(faces, tmp_path)
    path = folder / "golden/v.onnx/output_0.npy"
    np.save(path, np.load(path)[:, ::-1])
    seal(folder)
    done = run(folder, "verify", "--model", "v.onnx", "--json", tmp_path / "told.json")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("NO  v.onnx: outputs: "))
    assert re.search(r": 4 of 4 items differ, by at most [\d.]+, SQNR ", line)
    rows = json.loads((tmp_path / "told.json").read_text())["results"]
    assert next(row["metrics"]["differing"] for row in rows if row["check"] == "outputs") == 4
    assert all("agreement" not in row["metrics"] for row in rows)


def test_the_unpacked_files_recognise_people(faces: Path, tmp_path: Path) -> None:
    models, people = unpack(faces, tmp_path) / "models", faces.parent / "people"
    done = edgekit("demo", "verify", models / "v.onnx", people, "--source", people / "p1/0.png", "--view", "none",
                   "--json", "-")  # fmt: skip
    assert [row["name"] for row in json.loads(done.stdout)["results"]] == ["p1"]


def test_towers_share_a_head(tmp_path: Path) -> None:
    tower = verifier(tmp_path)
    other = tmp_path / "w.onnx"
    shutil.copy(tower, other)
    report = make_bundle([tower, other], tmp_path / "b.zip", samples=2)
    assert [(entry.name, entry.second) for entry in report.manifest.entries] == [
        ("v.onnx", "v.head.onnx"), ("v.head.onnx", None), ("w.onnx", "v.head.onnx"),
    ]  # fmt: skip


def test_two_heads_of_one_name_are_refused(tmp_path: Path) -> None:
    tower = verifier(tmp_path)
    (tmp_path / "other").mkdir()
    second = head(tmp_path / "other/v.head.onnx", batch=None)
    linked = Companion(name=second.name, sha256=sha256_file(second))
    other = verifier(tmp_path / "other", head=linked)
    head(second, batch=None)
    with pytest.raises(InputError) as caught:
        make_bundle([tower, other.rename(other.with_name("w.onnx"))], tmp_path / "b.zip")
    assert str(caught.value) == "Two files are called v.head.onnx; a bundle needs names of their own: rename one."


def test_a_head_is_not_named_beside_its_tower(tmp_path: Path) -> None:
    tower = verifier(tmp_path)
    with pytest.raises(InputError) as caught:
        make_bundle([tower, tmp_path / "v.head.onnx"], tmp_path / "b.zip")
    assert str(caught.value) == "v.head.onnx is the second file of v.onnx, and comes with it; leave it out."


def test_a_head_by_itself_is_bundled_on_noise(tmp_path: Path) -> None:
    head(tmp_path / "h.onnx")
    report = make_bundle([tmp_path / "h.onnx"], tmp_path / "b.zip", samples=2)
    assert [entry.name for entry in report.manifest.entries] == ["h.onnx"]


def test_an_embedding_is_no_class(faces: Path) -> None:
    done = run(faces, "predict", faces.parent / "people/p1/0.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bundle: The bundle holds no classifier of images; see its manifest.json.\n"
    with zipfile.ZipFile(faces) as bundle:
        (page,) = (name for name in bundle.namelist() if name.endswith("README.txt"))
        text = bundle.read(page).decode()
    assert [verb in text for verb in ("bundle verify", "bundle bench", "bundle predict", "bundle detect")] == [
        True, True, False, False,
    ]  # fmt: skip
