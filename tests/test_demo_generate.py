"""``demo generate``: sheets of what a generator makes, the same for a seed, and sentences."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from tiny_generator import SIDE, generator

from edgekit.demos.generate import Made, Wish, generate
from edgekit.errors import DataError, InputError
from edgekit.generation import Condition, Drawn, Generator
from edgekit.tasks.picture_grid import Grid, grid_inputs, png, read_grid


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes three shades when it is asked for them."""
    return generator(tmp_path_factory.mktemp("demo") / "shades.onnx")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes four shades of its own finding, and has two codes, of which the first brightens."""
    return generator(tmp_path_factory.mktemp("demo") / "found.onnx", classes=4, asked=False, codes=2)


def shades(sheet: Path, grid: Grid) -> Any:
    """The mean brightness of each picture, (rows, columns)."""
    pixels = np.asarray(Image.open(sheet))
    assert pixels.shape == (grid.rows * SIDE, grid.columns * SIDE)
    return pixels.reshape(grid.rows, SIDE, grid.columns, SIDE).mean(axis=(1, 3)) / 255


def drawn(file: Path, tmp_path: Path, **wish: Any) -> tuple[Made, Any]:
    output = tmp_path / "out.png"
    result = generate(file, Wish(**wish), output, force=True)
    return result, shades(output, result.grid)


def refused(file: Path, output: Path | None, **wish: Any) -> str:
    with pytest.raises((InputError, DataError)) as caught:
        generate(file, Wish(**wish), output)
    return str(caught.value)


def test_classes_come_in_turn_along_the_columns(made: Path, tmp_path: Path) -> None:
    result, seen = drawn(made, tmp_path)
    assert (result.grid, result.class_id) == (Grid(4, 10), None)
    np.testing.assert_allclose(seen, np.tile([(n % 3 + 0.5) / 3 for n in range(10)], (4, 1)), atol=0.06)


@pytest.mark.parametrize("name", ["grey", "1"])
def test_one_class_is_asked_for_by_label_or_number(made: Path, tmp_path: Path, name: str) -> None:
    result, seen = drawn(made, tmp_path, asked=name, grid="2x3")
    assert (result.grid, result.class_id) == (Grid(2, 3), 1)
    np.testing.assert_allclose(seen, np.full((2, 3), 0.5), atol=0.06)


def test_a_sweep_changes_one_code_along_the_columns(found: Path, tmp_path: Path) -> None:
    result, seen = drawn(found, tmp_path, sweep=True)
    assert result.grid == Grid(4, 10)
    assert (np.diff(seen, axis=1) > 0).all()
    assert (np.diff(seen, axis=0) > 0.1).all()
    _, other = drawn(found, tmp_path, sweep=True, code=2)
    np.testing.assert_allclose(np.diff(other, axis=1), 0, atol=1e-9)
    result, one = drawn(found, tmp_path, sweep=True, asked="3", grid="2x5")
    np.testing.assert_allclose(one, np.full((2, 5), 0.875), atol=0.06)


def test_a_sweep_keeps_all_else() -> None:
    digits = Generator(
        noise=Drawn(name="noise", size=5),
        condition=Condition(name="condition", classes=2, asked=False),
        code=Drawn(name="code", size=3, low=-2.0, high=2.0),
    )
    items = grid_inputs(digits, Grid(3, 5), seed=4, code=1)
    assert {tuple(item["noise"]) for item in items} == {tuple(items[0]["noise"])}
    assert [int(item["condition"].argmax()) for item in items] == [0] * 5 + [1] * 5 + [0] * 5
    np.testing.assert_allclose([item["code"] for item in items[:5]], [[0, v, 0] for v in (-2, -1, 0, 1, 2)])
    plain = Generator(noise=digits.noise, code=digits.code)
    rows = grid_inputs(plain, Grid(2, 3), seed=4, code=0)
    assert len({tuple(item["noise"]) for item in rows}) == 2


def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    def bytes_of(seed: int) -> bytes:
        generate(made, Wish(seed=seed, grid="1x3"), tmp_path / "seeded.png", force=True)
        return (tmp_path / "seeded.png").read_bytes()

    assert bytes_of(1) == bytes_of(1) != bytes_of(2)


def test_colours_stay_colours(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 1] = (10, 20, 30)
    (tmp_path / "c.png").write_bytes(png(pixels))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "c.png")), pixels)


def test_the_command(made: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    arguments = ("demo", "generate", made, "--class", "dark", "--seed", 1, "--grid", "2x2", "-o", output)
    done = edgekit(*arguments, "--json", "-")
    assert done.returncode == 0
    data = json.loads(done.stdout)
    (row,) = data["results"]
    assert (data["command"], row["output"], row["grid"]) == ("demo generate", str(output), [2, 2])
    assert (row["class"], row["seed"], row["format"]) == (0, 1, "onnx")
    assert row["latency_ms"]["p50"] > 0
    assert done.stderr.startswith(f"{output}: 4 pictures in onnxruntime ")
    assert done.stderr.endswith(" ms a picture.\n")
    again = edgekit(*arguments)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == f"edgekit: {output} exists; use --force to replace it or -o to write elsewhere.\n"


def test_what_cannot_be_made_is_one_sentence(made: Path, found: Path, tmp_path: Path) -> None:
    out = tmp_path / "never.png"
    assert refused(made, None) == "The pictures go to a file .png; got none: name one with -o out.png."
    jpeg = tmp_path / "never.jpg"
    assert refused(made, jpeg) == f"The pictures go to a file .png; got {jpeg}: name one with -o out.png."
    assert refused(made, out, asked="gray") == f"{made} has no class 'gray'; did you mean grey?"
    assert refused(found, out, asked="4") == f"{found} has no class '4'; choose one of: 0, 1, 2, 3."
    assert refused(found, out, asked="12") == f"{found} has no class '12'; choose one of: 0, 1, 2, 3."
    plain = generator(tmp_path / "plain.onnx", classes=None)
    assert refused(plain, out, asked="1") == f"{plain} cannot be asked for a class; leave --class out."
    for grid in ("4", "0x3", "4x10x2", "200x200", "²x3", "x", "4 x 10"):
        assert refused(made, out, grid=grid) == (
            f"A grid is written as ROWSxCOLUMNS with at most 10,000 pictures; got {grid!r}: write 4x10."
        )
    assert refused(made, out, sweep=True) == "This generator has no code to sweep; leave --sweep out."
    assert refused(found, out, sweep=True, code=3) == (
        "The generator has the codes 1 to 2; got 3: name one with --code."
    )
    assert refused(found, out, code=1) == "--code names the code of a sweep; add --sweep, or leave it out."
    bare = generator(tmp_path / "bare.onnx", told=False)
    assert refused(bare, out) == (
        f"{bare} is no generator by its card: take a file that was made of a trained one, or state the key generator "
        "with edgekit card attach."
    )
    flat = generator(tmp_path / "flat.onnx", flat=True)
    assert refused(flat, out) == (
        f"{flat} made an array of 144; expected a picture of height x width x 1 or 3, as its card says."
    )
    broken = generator(tmp_path / "broken.onnx", nan=True)
    assert refused(broken, out, grid="1x1") == (
        f"A picture of {broken} has 1 of 144 values that are NaN or infinite; expected finite numbers."
    )
    assert not out.exists()


def test_a_grid_reads_as_it_is_written() -> None:
    assert read_grid(str(Grid(12, 7))) == Grid(12, 7)
