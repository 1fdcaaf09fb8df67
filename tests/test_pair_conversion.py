"""Conversion of what compares pictures: one second file in float serves the first files of all recipes."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_verifier import head, verifier

from edgekit.artifact import attach_card, open_artifact
from edgekit.converters import Request, convert
from edgekit.errors import InputError
from edgekit.files import sha256_file
from edgekit.recipe import Precision, Recipe
from edgekit.two_files import second_file

FP32, FP16 = (Recipe(precision=p) for p in (Precision.FP32, Precision.FP16))


def asked(folder: Path, recipe: Recipe) -> Request:
    return Request(source=verifier(folder), recipes=(recipe,), output_dir=folder / "out")


def refused(request: Request, path: Path) -> bool:
    with pytest.raises(InputError) as caught:
        convert(request)
    return str(caught.value) == f"{path} exists; use --force to replace it or -o to write elsewhere."


def test_another_recipe_shares_the_second_file(tmp_path: Path) -> None:
    first = convert(asked(tmp_path, FP32))
    second, tower = tmp_path / "out/v.head.fp32.onnx", tmp_path / "out/v.fp32.onnx"
    before = second.stat().st_ino
    other = convert(asked(tmp_path, FP16))
    assert [row.path.name for row in other.artifacts] == ["v.head.fp32.onnx", "v.fp16.onnx"]
    assert other.artifacts[0].sha256 == first.artifacts[0].sha256 == sha256_file(second)
    assert second.stat().st_ino == before
    for path in (tower, tmp_path / "out/v.fp16.onnx"):
        assert second_file(path, open_artifact(path).card) == second
    assert refused(asked(tmp_path, FP32), tower)  # its own file is not shared


def test_a_second_file_of_another_source_is_not_shared(tmp_path: Path) -> None:
    convert(asked(tmp_path, FP32))
    second = tmp_path / "out/v.head.fp32.onnx"
    head(second)  # the same network without a card
    mine = second.read_bytes()
    assert refused(asked(tmp_path, FP16), second)
    assert second.read_bytes() == mine
    assert not (tmp_path / "out/v.fp16.onnx").exists()
    convert(replace(asked(tmp_path, FP16), force=True))
    assert second.read_bytes() != mine


def test_a_second_file_of_the_same_source_that_was_changed_is_not_shared(tmp_path: Path) -> None:
    convert(asked(tmp_path, FP32))
    second = tmp_path / "out/v.head.fp32.onnx"
    attach_card(second, replace(open_artifact(second).card, name="renamed"))
    assert refused(asked(tmp_path, FP16), second)
    assert not (tmp_path / "out/v.fp16.onnx").exists()
