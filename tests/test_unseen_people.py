"""The folds of the benchmark that tests on people who were not trained on."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from unseen_people import FOLDS, write_folds

from edgekit.data import Part, item_digest, open_data
from edgekit.data.base import Dataset


def pictures(data: Dataset) -> set[str]:
    return {item_digest(item) for item in data}


@pytest.mark.shared_data
def test_nobody_of_the_test_was_trained_on(shared_data: Path, tmp_path: Path) -> None:
    paths = write_folds(tmp_path, shared_data, seed=0)
    assert len(paths) == FOLDS
    parts = [open_data("orl_faces", part=part, data_dir=shared_data) for part in (Part.TRAIN, Part.EVALUATION)]
    person = {
        item_digest(item): int(label)
        for part in parts
        for item, label in zip(part, part.labels if part.labels is not None else (), strict=True)
    }
    held: list[int] = []
    for path in paths:
        train, test = (open_data(str(path), part=part, data_dir=None) for part in (Part.TRAIN, Part.EVALUATION))
        people = [{person[digest] for digest in pictures(part)} for part in (train, test)]
        assert (len(people[0]), len(people[1]), people[0] & people[1]) == (30, 10, set())
        assert (len(train), len(test)) == (240, 80)
        for part in (train, test):  # one number for each person
            assert part.labels is not None
            named = {(person[item_digest(item)], int(label)) for item, label in zip(part, part.labels, strict=True)}
            assert len(named) == len({number for _, number in named}) == len(np.unique(part.labels))
        held += people[1]
    assert sorted(held) == list(range(40))
