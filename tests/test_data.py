"""Readers of data sets: what they give, and the sentence for everything that they refuse."""

import contextlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.data import KNOWN, Part, archives, data_ref, draw, images, item_digest, open_data
from edgekit.data.images import decode_image
from edgekit.errors import DataError

COLOUR = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
"""(5, 7, 3) RGB without any symmetry."""


def png(pixels: Any = COLOUR, mode: str | None = None, **options: Any) -> bytes:
    """A PNG file of ``pixels``, converted to Pillow's ``mode``."""
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, "PNG", **options)
    return stream.getvalue()


def read(spec: Path | str, part: Part = Part.EVALUATION, data_dir: Path | None = None) -> Any:
    """The data set, as the command line opens it."""
    return open_data(str(spec), part=part, data_dir=data_dir)


def refused(spec: Path | str, part: Part = Part.EVALUATION) -> str:
    """The sentence with which ``spec`` (or its first item) is refused."""
    with pytest.raises(DataError) as caught:
        read(spec, part).items[0]
    return str(caught.value)


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """cat: two images, dog: one; beside them what must be passed over."""
    root = tmp_path / "pets"
    for name in ("dog/b.PNG", "cat/2.png", "cat/deep/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png())
    (root / ".hidden").mkdir()
    (root / "cat" / ".x.png").write_bytes(b"")
    (root / "notes.txt").write_text("text")
    return root


# --- images ---------------------------------------------------------------------------------------------------------


def test_a_png_keeps_every_pixel() -> None:
    np.testing.assert_array_equal(decode_image(png(), name="x"), COLOUR)


def test_gray_keeps_one_channel_whatever_its_depth() -> None:
    gray = COLOUR[..., 0]
    np.testing.assert_array_equal(decode_image(png(gray), name="x"), gray[..., None])
    deep = gray.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_image(png(deep), name="x"), gray[..., None])
    assert decode_image(png(gray, "1"), name="x").shape == (5, 7, 1)
    np.testing.assert_array_equal(decode_image(png(gray, "LA"), name="x"), gray[..., None])


def test_palettes_opaque_alpha_and_cmyk_become_rgb() -> None:
    few = (COLOUR // 64 * 64).astype(np.uint8)
    np.testing.assert_array_equal(decode_image(png(few, "P"), name="x").shape, few.shape)
    np.testing.assert_array_equal(decode_image(png(COLOUR, "RGBA"), name="x"), COLOUR)
    stream = io.BytesIO()
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(stream, "JPEG", quality=100)
    got = decode_image(stream.getvalue(), name="x")
    assert np.abs(got.astype(int) - flat).max() <= 4


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    np.testing.assert_array_equal(decode_image(png(exif=exif), name="x"), np.rot90(COLOUR, -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_refused(mode: str) -> None:
    image = Image.fromarray(COLOUR).convert(mode)
    image.putalpha(200)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    with pytest.raises(DataError) as caught:
        decode_image(stream.getvalue(), name="leaf.png")
    assert str(caught.value) == (
        "leaf.png has transparent pixels; expected an opaque image: put it on a background first."
    )


def test_a_transparent_palette_is_refused() -> None:
    with pytest.raises(DataError, match=r"^leaf\.png has transparent pixels; "):
        decode_image(png(COLOUR, "P", transparency=0), name="leaf.png")


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (30, 10):  # 35 pixels: Pillow warns above the limit and refuses above twice of it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError) as caught:
            decode_image(png(), name="big.png")
        assert str(caught.value) == f"big.png is larger than {limit} pixels; expected a photo: scale it down first."


def test_any_damage_to_an_image_is_a_data_error_or_an_image() -> None:
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.fromarray(np.tile(COLOUR, (8, 8, 1))).save(stream, "JPEG")
    for whole in (png(np.tile(COLOUR, (8, 8, 1))), stream.getvalue()):
        for _ in range(150):
            data = bytearray(whole[: rng.integers(0, len(whole) + 1)])
            for place in rng.integers(0, max(1, len(data)), rng.integers(0, 4)):
                if data:
                    data[place] = rng.integers(0, 256)
            with contextlib.suppress(DataError):
                assert decode_image(bytes(data), name="x").ndim == 3


# --- folders --------------------------------------------------------------------------------------------------------


def test_class_folders_give_ids_in_the_order_of_their_names(class_folders: Path) -> None:
    data = read(class_folders)
    assert (data.name, data.class_names, data.labels.tolist()) == ("pets", ("cat", "dog"), [0, 0, 1])
    assert [p.name for p in data.items.paths] == ["2.png", "1.png", "b.PNG"]
    np.testing.assert_array_equal(data.items[0], COLOUR)


def test_a_plain_folder_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "b.ppm").write_bytes(b"P6 1 1 255\n\x01\x02\x03")
    (tmp_path / "a.pgm").write_bytes(b"P5 1 1 255\n\x07")
    data = read(tmp_path, Part.CALIBRATION)
    assert data.labels is None
    assert [item.tolist() for item in data] == [[[[7]]], [[[1, 2, 3]]]]


def test_a_single_folder_called_images_is_no_class(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(png())
    assert read(tmp_path).labels is None


def test_folders_that_are_no_data_set_are_refused(class_folders: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    endings = ".jpg, .jpeg, .png, .bmp, .webp, .ppm, .pgm"
    assert refused(empty) == f"{empty} holds no images; expected files that end in {endings}."
    (class_folders / "fox").mkdir()
    assert refused(class_folders) == (
        f"The class folder {class_folders / 'fox'} holds no images; expected a folder of images for each class, or "
        "for boxes one of the forms that edgekit evaluate --help names."
    )
    (class_folders / "a.png").write_bytes(png())
    assert refused(class_folders) == (
        f"{class_folders} has images both beside and inside its sub-folders; expected a sub-folder for each class."
    )


def test_an_unreadable_image_is_named(class_folders: Path) -> None:
    path = class_folders / "cat" / "2.png"
    path.write_bytes(b"not an image")
    assert refused(class_folders) == (
        f"{path} is not a readable image; expected one of: .jpg, .jpeg, .png, .bmp, .webp, .ppm, .pgm."
    )
    path.write_bytes(png()[:50])
    assert refused(class_folders).startswith(f"{path} cannot be decoded as an image: ")


@pytest.mark.parametrize("special", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(special: Any, class_folders: Path) -> None:
    image, array, archive = class_folders / "cat" / "2.png", class_folders / "a.npz", class_folders / "a.zip"
    image.unlink()
    for path in (image, array, archive):
        special(path)
    sentence = f"{image} is no regular file; expected an image: take it away or name another."
    assert refused(class_folders) == sentence
    with pytest.raises(DataError) as caught:
        images.image_size(image)
    assert str(caught.value) == sentence
    assert refused(array) == f"{array} is not a readable .npz of plain arrays: it is no regular file."
    assert refused(archive) == f"{archive} is no regular file; expected a zip."


def test_a_link_to_an_image_is_an_image(class_folders: Path) -> None:
    (class_folders / "cat" / "2.png").rename(class_folders.parent / "elsewhere.png")
    (class_folders / "cat" / "2.png").symlink_to(class_folders.parent / "elsewhere.png")
    assert read(class_folders).items[0].dtype == np.uint8


# --- tables and zips ------------------------------------------------------------------------------------------------


def labelled_files(classes: bool = True) -> dict[str, bytes]:
    """Two images, their labels and the names of three classes."""
    files = {
        "images/a.png": png(),
        "images/b.png": png(COLOUR[::-1]),
        "labels.csv": b'\xef\xbb\xbffile,class_id,note\r\nimages/b.png,2,x\r\n\r\nimages/a.png,0,"y, z"\r\n',
    }
    return files | ({"classes.csv": b"class_id,name\n1,dog\n0,cat\n2,fox\n"} if classes else {})


def as_folder(root: Path, files: dict[str, bytes]) -> Path:
    """``files`` in a folder."""
    for name, data in files.items():
        (root / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "set" / name).write_bytes(data)
    return root / "set"


def as_zip(root: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    """``files`` in a zip, in a folder called ``prefix``."""
    with zipfile.ZipFile(root / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return root / "set.zip"


@pytest.mark.parametrize("make", [as_folder, as_zip, lambda root, files: as_zip(root, files, "set/")])
def test_labels_csv_gives_order_labels_and_names(tmp_path: Path, make: Callable[..., Path]) -> None:
    data = read(make(tmp_path, labelled_files()))
    assert (data.name, data.class_names, data.labels.tolist()) == ("set", ("cat", "dog", "fox"), [2, 0])
    np.testing.assert_array_equal(data.items[0], COLOUR[::-1])
    np.testing.assert_array_equal(data.items[1], COLOUR)


def test_a_csv_of_files_is_relative_to_itself(tmp_path: Path) -> None:
    folder = as_folder(tmp_path, labelled_files(classes=False))
    (folder / "labels.csv").rename(folder / "mine.csv")
    data = read(folder / "mine.csv")
    assert (data.class_names, data.labels.tolist()) == (None, [2, 0])
    (folder / "mine.csv").write_text("file\nimages/a.png\n")
    assert read(folder / "mine.csv").labels is None


def test_a_csv_of_numbers_gives_rows_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "iris.csv"
    path.write_text("length,label,width\n1.5,2,3\n-1,0,4e1\n")
    data = read(path)
    assert data.labels.tolist() == [2, 0]
    assert data.items[1].dtype == np.float64
    assert [item.tolist() for item in data] == [[1.5, 3.0], [-1.0, 40.0]]
    path.write_text("seconds\n1600000005\n")
    assert read(path).items[0].tolist() == [1_600_000_005]  # which float32 does not have


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "{} has no rows; expected a line of column names and one line an item."),
        ("a,b\n1\n", "{}, line 2, has 1 cells; expected 2."),
        ("a;b\n1,5;2\n", "{} has semicolons between its cells; expected commas, and points in decimal fractions."),
        ("a,a\n1,2\n", "{} has two columns of one name; expected unique names: a, a."),
        ("label\n1\n", "{} has the one column 'label'; expected columns of numbers beside it."),
        (
            "a,label\n1,0\nred,1\n",
            "{}, line 3, has the a 'red'; expected a number: leave out a column of words, call one of image paths "
            "'file', or begin with dates such as 2017-05-25.",
        ),
        (
            "a,label\n1_0,0\n",
            "{}, line 2, has the a '1_0'; expected a number: leave out a column of words, call one of image paths "
            "'file', or begin with dates such as 2017-05-25.",
        ),
        ("a,label\n1,0\n,0\n", "{}, line 3, has the a ''; expected a number: fill it in or leave the line out."),
        (
            f"text\n{'x' * 140_000}\n",
            "{} is not a CSV file: a cell has more than 131,072 characters, or a quote is missing.",
        ),
        (
            "a,label\n1,-1\n",
            "{}, line 2, has the label '-1'; expected a whole number, zero or more: 0 for normal, 1 for "
            "an anomaly, or a class.",
        ),
        (
            "a,label\n1,1.5\n",
            "{}, line 2, has the label '1.5'; expected a whole number, zero or more: 0 for normal, 1 for "
            "an anomaly, or a class.",
        ),
        (
            f"{'h' * 130_000},b\n{'x' * 130_000},1\n",
            f"{{}}, line 2, has the {'h' * 60}… '{'x' * 60}…'; expected a number: leave out a column of words, call "
            "one of image paths 'file', or begin with dates such as 2017-05-25.",
        ),
        (
            f"a,label\n1,{'x' * 130_000}\n",
            f"{{}}, line 2, has the label '{'x' * 60}…'; expected a whole number, zero or more: 0 for normal, 1 for "
            "an anomaly, or a class.",
        ),
        (
            f"a,a,{','.join(f'c{number}' for number in range(1000))}\n{','.join(1002 * '1')}\n",
            f"{{}} has two columns of one name; expected unique names: a, a, "
            f"{', '.join(f'c{number}' for number in range(38))} and 962 more.",
        ),
        (
            f"date,a\n{'2017-05-25'}{'x' * 1000},1\n2017-05-24,1\n",
            f"{{}}, line 3, has the date '2017-05-24' after '2017-05-25{'x' * 50}…'; expected the oldest first: sort "
            "the file.",
        ),
        ("a,label\nnan,0\n", "{} holds NaN or infinite values, first in item 0; expected finite ones."),
        ('a,b\n"1,2\n', "{} is not a CSV file in UTF-8: unexpected end of data."),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    assert refused(path) == sentence.format(path)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("labels.csv", b"file,class_id\nimages/no.png,0\n", "There is no file {root}/images/no.png; "
         "it is listed in a CSV file with paths relative to its folder."),
        ("labels.csv", b"file,class_id\n../a.png,0\n", "A CSV file in {root} lists '../a.png'; "
         "expected paths inside that folder."),
        ("labels.csv", b"file,class_id\n/etc/hostname,0\n", "A CSV file in {root} lists '/etc/hostname'; "
         "expected paths inside that folder."),
        ("labels.csv", f"file,class_id\n{'x' * 9000},0\n".encode(), "A CSV file in {root} lists "
         f"'{'x' * 60}…' of 9,000 characters; expected a path of a file."),
        ("labels.csv", f"file,{'x' * 9000}\nimages/a.png,0\n".encode(), "{root}/labels.csv lacks the column "
         f"'class_id'; it has: file, {'x' * 60}…."),
        ("labels.csv", b"file,label\nimages/a.png,0\n", "{root}/labels.csv lacks the column 'class_id'; "
         "it has: file, label."),
        ("labels.csv", b"file,class_id\nimages/a.png,3\n", "{root}/labels.csv has the class_id 3; "
         "{root}/classes.csv names 3."),
        ("classes.csv", b"class_id,name\n0,cat\n2,fox\n", "{root}/classes.csv has 2 classes; "
         "expected each class_id of 0..1 once."),
    ],
)  # fmt: skip
def test_labelled_folders_that_do_not_fit_are_refused(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    folder = as_folder(tmp_path, labelled_files() | {name: data})
    assert refused(folder) == sentence.format(root=folder)


def test_zips_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_zip(tmp_path, {"a.png": png()})
    assert (
        refused(path)
        == f"{path} has neither labels.csv nor instances.json; expected a zip with images and one of them."
    )
    path = as_zip(tmp_path, labelled_files() | {"labels.csv": b"file,class_id\n../a.png,0\n"})
    assert refused(path) == f"{path} has no member ../a.png, which its labels.csv lists."
    path.write_bytes(path.read_bytes()[:100])
    assert refused(path) == f"{path} is not a readable zip file: File is not a zip file."
    path = as_zip(tmp_path, labelled_files())
    monkeypatch.setattr(archives, "MEMBER_LIMIT_BYTES", 2**20)
    zeros = as_zip(tmp_path, labelled_files() | {"images/b.png": b"\0" * (2**20 + 1)})
    assert refused(zeros) == f"images/b.png in {path} unpacks to more than 1 MiB; expected less."


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = as_zip(tmp_path, labelled_files())
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("images/b.png").header_offset
    data[start + 60 : start + 80] = bytes(20)
    path.write_bytes(data)
    assert refused(path).startswith(f"images/b.png in {path} cannot be read: ")


# --- arrays ---------------------------------------------------------------------------------------------------------


def save(path: Path, **arrays: Any) -> Path:
    """An .npz."""
    np.savez(path, **arrays)
    return path


def test_npz_parts(tmp_path: Path) -> None:
    x, y = np.zeros((4, 5, 7), np.uint8), np.array([[0], [1], [2], [1]])
    path = save(tmp_path / "set.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2], class_names=["a", "b", "c"])
    train, test = read(path, Part.CALIBRATION), read(path)
    assert (len(train), len(test), test.class_names) == (4, 2, ("a", "b", "c"))
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2, 1], [0, 1])
    assert test.items[0].shape == (5, 7, 1)
    both = save(tmp_path / "both.npz", x=x.astype(np.float32))
    assert read(both, Part.TRAIN).items[0].shape == read(both).items[0].shape == (5, 7)
    assert read(both).labels is None


def test_npz_by_input_name(tmp_path: Path) -> None:
    data = read(save(tmp_path / "s.npz", left=np.arange(3.0), right=np.ones((3, 2)), y=[0, 1, 0]))
    assert {k: v.tolist() for k, v in data.items[1].items()} == {"left": 1.0, "right": [1.0, 1.0]}
    assert data.labels.tolist() == [0, 1, 0]


def test_an_npz_of_test_items_alone_trains_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "s.npz", x_test=np.ones(2))
    assert refused(path, Part.TRAIN) == f"{path} has no x_train or x; it holds: x_test."


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, "{} has no x_test or x; it holds: nothing."),
        ({"x": np.ones((0, 3))}, "x in {} has shape (0, 3), which holds no items; expected one item a row."),
        ({"x": np.array(["a"])}, "x in {} is <U1; expected numbers."),
        (
            {"x": np.array([[1.0], [np.nan]])},
            "x in {} holds NaN or infinite values, first in item 1; expected finite ones.",
        ),
        ({"x": np.ones(2), "y": np.ones(3)}, "{} has 2 items and 3 labels; expected as many of both."),
        ({"x": np.ones(2), "y": np.eye(2)}, "The labels in {} are (2, 2) float64; expected one class id an item."),
        ({"x": np.ones(1), "y": [0.5]}, "The labels in {} are not class ids; expected whole numbers, zero or more."),
        ({"x": np.ones(1), "y": [-1]}, "The labels in {} are not class ids; expected whole numbers, zero or more."),
        ({"x": np.ones(1), "y": [np.nan]}, "The labels in {} are not class ids; expected whole numbers, zero or more."),
        ({"x": np.ones(1), "y": [1j]}, "The labels in {} are (1,) complex128; expected one class id an item."),
        (
            {"x": np.ones(1), "y": [2], "class_names": ["a", "b"]},
            "{} has the class id 2; there are names for 2 classes.",
        ),
        (
            {"a": np.ones(2), "b": np.ones(3)},
            "The arrays in {} have different numbers of items (a 2, b 3); expected one number.",
        ),
    ],
)
def test_npz_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    path = save(tmp_path / "s.npz", **arrays)
    assert refused(path) == sentence.format(path)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    assert refused(path) == (
        f"{path} is not a readable .npz of plain arrays: it holds pickled objects, which are not opened."
    )
    path.write_bytes(path.read_bytes()[:50])
    assert refused(path).startswith(f"{path} is not a readable .npz of plain arrays: ")
    np.save(tmp_path / "bare", np.ones(2))
    shutil.move(tmp_path / "bare.npy", path)
    assert refused(path) == f"{path} holds one bare array; expected an .npz with named arrays."


# --- names and paths ------------------------------------------------------------------------------------------------


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    assert refused("mnits") == "There is no data set or path 'mnits'; did you mean mnist?"
    assert refused("xyz") == f"There is no data set or path 'xyz'; choose one of: {', '.join(KNOWN)}."
    assert refused(tmp_path / "no") == f"There is no file or folder {tmp_path / 'no'}."
    assert refused("no.npz") == "There is no file or folder no.npz."
    (tmp_path / "a.png").write_bytes(png())
    assert refused(tmp_path / "a.png") == (
        f"{tmp_path / 'a.png'} is one image; expected a data set: give the folder that it is in."
    )
    (tmp_path / "a.pdf").write_text("x")
    assert refused(tmp_path / "a.pdf") == (
        f"{tmp_path / 'a.pdf'} is no data set; expected a folder, a .zip, a .csv, an .npz, a .txt "
        f"or one of: {', '.join(KNOWN)}."
    )


# --- drawing and recognising items ----------------------------------------------------------------------------------


def test_drawing_repeats_and_never_repeats_an_item() -> None:
    assert draw(100, 10, seed=3) == draw(100, 10, seed=3) != draw(100, 10, seed=4)
    assert sorted(draw(5, 99, seed=0)) == [0, 1, 2, 3, 4]


def test_a_subset_is_lazy_and_keeps_labels(class_folders: Path) -> None:
    (class_folders / "cat" / "2.png").write_bytes(b"broken")
    subset = read(class_folders).subset([2, 1])
    assert (len(subset), subset.labels.tolist(), subset.items[0].shape) == (2, [1, 0], (5, 7, 3))


def test_an_item_is_recognised_by_its_pixels() -> None:
    assert item_digest(COLOUR) == item_digest(decode_image(png(), name="x")) != item_digest(COLOUR[::-1])
    assert item_digest(COLOUR) != item_digest(COLOUR.reshape(-1)) != item_digest(COLOUR.reshape(-1).view(np.int8))
    assert item_digest({"a": COLOUR, "b": COLOUR}) == item_digest({"b": COLOUR, "a": COLOUR}) != item_digest(COLOUR)
    ref = data_ref("set", ["0a", "0b"], seed=1, keep_items=True)
    assert (ref.count, ref.items) == (2, ("0a", "0b"))
    assert ref.digest != data_ref("set", ["0b", "0a"], seed=1, keep_items=True).digest


def test_image_names_are_known_whatever_their_case() -> None:
    assert images.is_image_name("A.JPeG")
    assert not images.is_image_name("a.gif")
