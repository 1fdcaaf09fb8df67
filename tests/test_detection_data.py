"""Images with boxes in every form that people have them in."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.data import Dataset, Part, open_data
from edgekit.errors import DataError
from edgekit.tasks.boxes import areas

# Two photos of 40 x 20 (width x height) and one of 30 x 30 without an object, boxes in pixels.
SIZES = {"a.png": (40, 20), "b.png": (40, 20), "c.png": (30, 30)}
OBJECTS = [("a.png", "dog", (4, 2, 20, 18)), ("a.png", "cat", (0, 0, 10, 10)), ("b.png", "dog", (20, 5, 40, 20))]
NAMES = ("cat", "dog")


def photos(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, size in SIZES.items():
        Image.new("RGB", size, "gray").save(folder / name)
    return folder


def coco() -> dict[str, Any]:
    return {
        "images": [{"id": f"i{n}", "file_name": n, "width": w, "height": h} for n, (w, h) in SIZES.items()],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"image_id": f"i{n}", "category_id": 7 if c == "dog" else 3, "bbox": [x, y, r - x, b - y], "iscrowd": 0}
            for n, c, (x, y, r, b) in OBJECTS
        ],
    }


def coco_folder(root: Path) -> Path:
    photos(root / "images")
    (root / "instances.json").write_text(json.dumps(coco()))
    return root


def coco_zip(root: Path) -> Path:
    photos(root / "made")
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        archive.writestr("set/instances.json", json.dumps(coco()))
        for name in SIZES:
            archive.write(root / "made" / name, f"set/{name}")
    return root / "set.zip"


def voc_folder(root: Path) -> Path:
    photos(root / "JPEGImages")
    (root / "Annotations").mkdir()
    for name, (width, height) in SIZES.items():
        objects = "".join(
            f"<object><name>{c}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
            f"<xmax>{r}</xmax><ymax>{b}</ymax></bndbox></object>"
            for n, c, (x, y, r, b) in OBJECTS
            if n == name
        )
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}</filename><size><width>{width}</width><height>{height}</height>"
            f"<depth>3</depth></size>{objects}</annotation>"
        )
    return root


def yolo_folder(root: Path) -> Path:
    photos(root / "images")
    (root / "labels").mkdir()
    (root / "classes.txt").write_text("cat\ndog\n")
    for name in ("a.png", "b.png"):
        width, height = SIZES[name]
        lines = [
            f"{NAMES.index(c)} {(x + r) / 2 / width} {(y + b) / 2 / height} {(r - x) / width} {(b - y) / height}"
            for n, c, (x, y, r, b) in OBJECTS
            if n == name
        ]
        (root / "labels" / name).with_suffix(".txt").write_text("\n".join(lines) + "\n\n")
    return root


def box_table(root: Path) -> Path:
    photos(root)
    rows = [f"{n},{c},{','.join(map(str, box))}" for n, c, box in OBJECTS]
    (root / "set.csv").write_text("file,class_name,xmin,ymin,xmax,ymax\n" + "\n".join(rows))
    return root / "set.csv"


def opened(path: Path) -> Dataset:
    return open_data(str(path), part=Part.EVALUATION, data_dir=None)


@pytest.mark.parametrize("make", [coco_folder, coco_zip, voc_folder, yolo_folder, box_table])
def test_the_same_boxes_come_from_every_form(make: Callable[[Path], Path], tmp_path: Path) -> None:
    data = opened(make(tmp_path / "set"))
    assert data.boxes is not None
    count = 2 if make is box_table else 3  # a table lists no image without a box
    assert (data.name, len(data), len(data.boxes), data.class_names, data.labels) == ("set", count, count, NAMES, None)
    first, second = data.boxes[:2]
    assert (first.image_hw, first.classes.tolist(), first.crowd.tolist()) == ((20, 40), [1, 0], [False, False])
    np.testing.assert_allclose(first.corners, [[0.1, 0.1, 0.5, 0.9], [0, 0, 0.25, 0.5]], atol=1e-6)
    np.testing.assert_allclose(second.corners, [[0.5, 0.25, 1, 1]], atol=1e-6)
    assert [np.shape(item) for item in data][:2] == [(20, 40, 3)] * 2
    assert all(len(boxes) == 0 for boxes in data.boxes[2:])


def test_a_subset_keeps_the_boxes_of_its_images(tmp_path: Path) -> None:
    chosen = opened(coco_folder(tmp_path / "set")).subset([2, 1])
    assert chosen.boxes is not None
    assert [len(boxes) for boxes in chosen.boxes] == [0, 1]
    assert np.shape(chosen.items[0]) == (30, 30, 3)


def test_a_difficult_object_is_a_crowd(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path / "set")
    file = folder / "Annotations" / "a.png.xml"
    first, second, rest = file.read_text().split("<difficult>0</difficult>")
    file.write_text(f"{first}{second}<difficult> 1 </difficult>{rest}")
    boxes = opened(folder).boxes
    assert boxes is not None
    assert (boxes[0].classes.tolist(), boxes[0].crowd.tolist()) == ([1, 0], [False, True])


def test_a_crowd_is_marked(tmp_path: Path) -> None:
    folder, data = coco_folder(tmp_path / "set"), coco()
    data["annotations"][1]["iscrowd"] = 1
    (folder / "instances.json").write_text(json.dumps(data))
    boxes = opened(folder).boxes
    assert boxes is not None
    assert boxes[0].crowd.tolist() == [False, True]


@pytest.mark.parametrize(
    ("bbox", "kept"),
    [
        ([4, 2, 0, 16], False),
        ([4, 2, 16, 0], False),
        ([-0.6, 2, 0.3, 16], False),  # sticks out as a whole
        ([20, 2, 1e-9, 16], False),  # two sides that float32 cannot tell apart
        ([0, 0, 1e-25, 1e-25], False),
        ([-0.6, 2, 0.7, 16], True),
        ([39, 2, 1.7, 16], True),
    ],
)
def test_a_box_without_area_in_its_image_is_no_object(bbox: list[float], kept: bool, tmp_path: Path) -> None:
    folder, data = coco_folder(tmp_path / "set"), coco()
    data["annotations"][0].update(bbox=bbox)
    data["annotations"][1]["iscrowd"] = 1
    (folder / "instances.json").write_text(json.dumps(data))
    boxes = opened(folder).boxes
    assert boxes is not None
    assert boxes[0].classes.tolist() == [1, 0][not kept :]
    assert boxes[0].crowd.tolist() == [False, True][not kept :]
    assert len(boxes[0].corners) == len(boxes[0])
    assert (areas(boxes[0].corners) > 0).all()


def test_a_box_may_stick_out_by_a_fiftieth(tmp_path: Path) -> None:
    folder, data = coco_folder(tmp_path / "set"), coco()
    for bbox, fits in (([20, 2, 20.7, 16], True), ([20, 2, 20.9, 16], False), ([-0.9, 2, 20, 16], False)):
        data["annotations"][0].update(bbox=bbox)
        (folder / "instances.json").write_text(json.dumps(data))
        if fits:
            boxes = opened(folder).boxes
            assert boxes is not None
            assert boxes[0].corners[0, 2] == 1
        else:
            assert "in an image of 40 x 20 pixels; expected one inside it, without a side below 0." in refused(folder)


def test_a_photo_on_its_side_is_measured_as_it_is_seen(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "set")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(folder / "images" / "a.png", exif=exif)
    data = opened(folder)
    assert data.boxes is not None
    assert np.shape(data.items[0])[:2] == data.boxes[0].image_hw == (40, 20)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["annotations"][0].update(bbox=[4, 2, -1, 16]),
            "box from left, top to right, bottom of 4, 2, 3, 18",
        ),
        (
            lambda d: d["annotations"][0].update(bbox=[4, 2, 90, 16]),
            "in an image of 40 x 20 pixels; expected one inside it, without a side below 0.",
        ),
        (
            lambda d: d["annotations"][0].update(bbox=[4, 2, float("nan"), 1]),
            "expected one inside it, without a side below 0.",
        ),
        (lambda d: d["annotations"][0].update(category_id=9), "is not COCO's JSON (KeyError: 9)"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2]), "is not COCO's JSON (ValueError: "),
        (lambda d: d.pop("categories"), "is not COCO's JSON (KeyError: 'categories')"),
        (lambda d: d["images"][0].update(file_name="../x.png"), "lists '../x.png'; expected paths inside that folder."),
        (lambda d: d["images"][0].update(file_name="x.png"), "There is no file "),
        (lambda d: d["images"][0].update(width=0), "has an image of 20 x 0 pixels; expected 1 or more."),
        (lambda d: d["categories"].append({"id": 3, "name": "x"}), "3 images and 2 different categories"),
        (
            lambda d: d["images"].append({**d["images"][0], "file_name": "d.png"}),
            "lists the image id 'ia.png' 2 times; expected each once: leave one.",
        ),
        (
            lambda d: d["images"].append({**d["images"][0], "id": None}),
            "lists the file 'a.png' 2 times; expected each once: leave one.",
        ),
    ],
)
def test_a_broken_coco_file_is_one_sentence(change: Callable[[Any], object], message: str, tmp_path: Path) -> None:
    folder, data = coco_folder(tmp_path / "set"), coco()
    change(data)
    (folder / "instances.json").write_text(json.dumps(data))
    assert message in refused(folder)


def test_an_image_of_another_size_than_listed_is_refused_where_it_is_used(tmp_path: Path) -> None:
    folder, data = coco_folder(tmp_path / "set"), coco()
    data["images"][0].update(width=400, height=200)
    (folder / "instances.json").write_text(json.dumps(data))
    found = opened(folder)
    assert np.shape(found.items[1]) == (20, 40, 3)
    with pytest.raises(DataError) as caught:
        assert found.items[0] is None
    assert str(caught.value) == (
        f"The image 'a.png' has 40 x 20 pixels; {folder / 'instances.json'} lists 400 x 200: correct its width and "
        "height, or its boxes."
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("<xmin>5</xmin>", "<xmin>five</xmin>", "has a size or side that is no number: "),
        ("<xmin>5</xmin>", "", "a.png.xml has no bndbox/xmin; expected Pascal VOC annotations."),
        ("<annotation>", "<!DOCTYPE x><annotation>", "defines its own markup (<!)"),
        ("</annotation>", "", "is not readable XML: "),
        ("<filename>a.png", "<filename>/a.png", "lists '/a.png'; expected paths inside that folder."),
        ("<filename>a.png", "<filename>z.png", "There is no image z.png in "),
    ],
)
def test_a_broken_voc_file_is_one_sentence(before: str, after: str, message: str, tmp_path: Path) -> None:
    folder = voc_folder(tmp_path / "set")
    file = folder / "Annotations" / "a.png.xml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    assert message in refused(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 0.5 0.5 0.2", "a.txt, line 1, is '1 0.5 0.5 0.2'; expected a class id and four fractions."),
        ("dog 0.5 0.5 0.2 0.2", "expected a class id and four fractions."),
        ("2 0.5 0.5 0.2 0.2", "a.txt, line 1, has the class id 2; classes.txt names 2."),
        ("1 0.9 0.5 0.5 0.2", "in an image of 40 x 20 pixels; expected one inside it, without a side below 0."),
    ],
)
def test_a_broken_yolo_line_is_one_sentence(line: str, message: str, tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "set")
    (folder / "labels" / "a.txt").write_text(line)
    assert message in refused(folder)


def test_two_images_cannot_share_a_text_file_of_yolos(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "set")
    Image.new("RGB", (40, 20)).save(folder / "images" / "a.jpg")
    assert refused(folder) == (
        f"{folder / 'images'} holds 2 images called a, which share labels/a.txt; expected one: rename the others."
    )


def test_yolo_needs_the_names_of_its_classes(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "set")
    (folder / "classes.txt").unlink()
    assert refused(folder) == f"{folder} has no classes.txt; expected the names of the classes, one a line."


def test_a_table_needs_numbers_and_classes(tmp_path: Path) -> None:
    path = box_table(tmp_path / "set")
    text = path.read_text()
    path.write_text(text.replace(",4,2,", ",x,2,"))
    assert refused(path) == f"{path}, line 2, has the xmin 'x'; expected a number."
    path.write_text(text.replace("class_name", "kind"))
    assert refused(path).startswith(f"{path} lacks the column 'class_id'; ")
