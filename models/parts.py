"""The training and the test part of a data set, as the models see them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.data import Dataset, Part, item_digest, open_data
from edgekit.errors import DataError
from edgekit.models.images import (
    BoxedImages,
    Images,
    load_boxed_images,
    load_images,
    require_objects,
    split,
    split_boxed,
)
from edgekit.preprocessing import Preprocessing
from edgekit.workers import Progress, silent

MOST_EMPTY = 1000
"""Class ids without an image that are taken for classes which happen to have none, beside as many as have some."""
TEST_FRACTION = 0.2
"""Share of every class kept for the test where the data has no test part of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """``test`` is none where the data has one part only, of which `images` then sets the test aside."""

    train: Dataset
    test: Dataset | None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, or their numbers where the data do not name them."""
        return self.train.class_names or tuple(f"class {index}" for index in range(self.classes))

    @property
    def classes(self) -> int:
        """Number of classes: as many as there are names, else the highest id and one."""
        if self.train.boxes is not None:
            names, boxes = self.train.class_names, self.train.boxes
            return len(names) if names else 1 + max((int(own.classes.max(initial=0)) for own in boxes), default=0)
        if self.train.labels is None:
            raise DataError(f"{self.train.name} has no labels; training needs a class for each image.")
        if self.train.class_names is not None:
            if len(self.train.class_names) < 2:
                raise DataError(
                    f"{self.train.name} has the one class {self.train.class_names[0]}; expected a sub-folder for each "
                    "of two or more, or train and test (or val) with these in them."
                )
            return len(self.train.class_names)
        classes, there = int(self.train.labels.max()) + 1, len(np.unique(self.train.labels))
        if classes > MOST_EMPTY + 2 * there:
            raise DataError(
                f"{self.train.name} has {there} classes with ids up to {classes - 1}; expected 0 to {there - 1}: "
                "number them anew."
            )
        return classes

    @property
    def test_name(self) -> str:
        """What the test metric was measured on."""
        return self.train.name if self.test is not None else f"{self.train.name}, {TEST_FRACTION:.0%} held out"

    def images(
        self, preprocessing: Preprocessing, seed: int, *, progress: Progress = silent, least: int = 1
    ) -> tuple[Images, Images]:
        """All images to learn and validate on, and all images of the test; of copies in both, the test has its own.

        A test that is set aside has ``least`` images of each class or more.
        """
        learn = load_images(self.train, preprocessing, progress=progress)
        if self.test is None:
            names = self.train.class_names
            kept, held = split(learn.labels, TEST_FRACTION, seed, purpose="test", names=names, least=least)
            return learn.subset(kept).apart_from(learn.subset(held)), learn.subset(held)
        test = load_images(self.test, preprocessing, progress=progress)
        if self.test.class_names != self.train.class_names:
            raise self._other_classes(self.test)
        self._require_known(int(test.labels.max()), self.test)
        return learn.apart_from(test), test

    def boxed_images(
        self, preprocessing: Preprocessing, seed: int, *, progress: Progress = silent
    ) -> tuple[BoxedImages, BoxedImages]:
        """As `images`, of images with boxes."""
        learn = load_boxed_images(self.train, preprocessing, progress=progress)
        if self.test is None:
            kept, held = split_boxed(learn, TEST_FRACTION, seed, purpose="test", name=self.train.name)
            return learn.subset(kept).apart_from(learn.subset(held)), learn.subset(held)
        test = load_boxed_images(self.test, preprocessing, progress=progress)
        require_objects(test, f"the test part of {self.test.name}")
        if self.test.class_names != self.train.class_names:
            raise self._other_classes(self.test)
        self._require_known(max(int(own.classes.max(initial=0)) for own in test.boxes), self.test)
        return learn.apart_from(test), test

    def _require_known(self, highest: int, test: Dataset) -> None:
        if highest >= self.classes:
            raise DataError(
                f"The test part of {test.name} has the class id {highest}; "
                f"the training part has {self.classes} classes."
            )

    def _other_classes(self, test: Dataset) -> DataError:
        return DataError(
            f"The training part of {self.train.name} has the classes {', '.join(self.train.class_names or ())}, "
            f"its test part {', '.join(test.class_names or ())}; expected the same."
        )


def read_parts(data: str, data_dir: Path | None) -> Parts:
    """The parts of the data set called ``data``; `DataError` where it cannot be found or read."""
    train = open_data(data, part=Part.TRAIN, data_dir=data_dir)
    test = open_data(data, part=Part.EVALUATION, data_dir=data_dir)
    return Parts(train=train, test=None if _same_items(train, test) else test)


def _same_items(train: Dataset, test: Dataset) -> bool:
    """Whether both are one and the same list of items, judged by labels and the first and last item."""
    if len(train) != len(test) or not np.array_equal(train.labels, test.labels):  # type: ignore[arg-type]  # or None
        return False
    return all(item_digest(train.items[i]) == item_digest(test.items[i]) for i in {0, len(train) - 1})
