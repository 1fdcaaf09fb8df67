"""Scenes of digits as a user's own data set, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgekit.data import Part, open_data


def coco_folder(folder: Path, count: int, *, suffix: str = "png") -> Path:
    """Some of the digit scenes as a COCO data set, with a crowd in the first image; a .jpg is nearly the same image."""
    scenes = open_data("digit_scenes", part=Part.TRAIN, data_dir=None)
    assert scenes.boxes is not None
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        name = f"{index:03d}.{suffix}"
        Image.fromarray(np.asarray(scenes.items[index])).save(folder / "images" / name, quality=95)
        images.append({"id": index, "file_name": name, "width": 160, "height": 160})
        for corners, label in zip(scenes.boxes[index].corners * 160, scenes.boxes[index].classes, strict=True):
            left, top, right, bottom = (float(v) for v in corners)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": int(label),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(not annotations),
                }
            )
    categories = [{"id": i, "name": str(i)} for i in range(10)]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(data))
    return folder
