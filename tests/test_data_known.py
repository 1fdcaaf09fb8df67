"""Data sets known by name: where they are looked for, and what is never downloaded or unpickled."""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import Part, item_digest, known, open_data
from edgekit.errors import DataError


def read(name: str, part: Part = Part.EVALUATION, data_dir: Path | None = None) -> Any:
    """The data set, as the command line opens it."""
    return open_data(name, part=part, data_dir=data_dir)


def refused(name: str) -> str:
    """The sentence with which the set is refused."""
    with pytest.raises(DataError) as caught:
        read(name)
    return str(caught.value)


def test_the_digits_are_split_by_class_once_and_for_all() -> None:
    train, test = read("digits", Part.CALIBRATION), read("digits")
    assert (len(train), len(test), test.items[0].shape, test.items[0].dtype) == (1437, 360, (8, 8, 1), np.uint8)
    assert np.bincount(test.labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert test.labels[:10].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3]
    assert max(int(item.max()) for item in test) == 255
    whole = {item_digest(i) for i in train}
    assert not whole & {item_digest(i) for i in test}


def test_a_known_set_is_found_in_the_data_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "cifar10").mkdir()
    x, y = np.zeros((2, 32, 32, 3), np.uint8), np.array([[9], [0]])
    np.savez(tmp_path / "cifar10" / "cifar10.npz", x_test=x, y_test=y)
    assert read("cifar10", data_dir=tmp_path).labels.tolist() == [9, 0]
    assert refused("cifar10") == (
        "The data set cifar10 is not in any data folder (Keras' copy is made of pickles, which are not opened): "
        "give the folder that holds cifar10/cifar10.npz with --data-dir or EDGEKIT_DATA."
    )
    monkeypatch.setenv("EDGEKIT_DATA", str(tmp_path))
    assert read("cifar10").class_names[9] == "truck"
    assert refused("notmnist") == (
        f"The data set notmnist is not in {tmp_path / 'notmnist' / 'notmnist.npz'}: "
        "give the folder that holds notmnist/notmnist.npz with --data-dir or EDGEKIT_DATA."
    )


def test_keras_cache_is_read_where_it_needs_no_unpickling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    folder = tmp_path / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    x = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    for kind, count in (("train", 2), ("t10k", 1)):
        head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (count, 3, 5))
        (folder / f"{kind}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + x[:count].tobytes()))
        head = b"\0\0\x08\x01" + count.to_bytes(4, "big")
        (folder / f"{kind}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + bytes([3, 4][:count])))
    data = read("fashion_mnist", Part.TRAIN)
    assert data.labels.tolist() == [3, 4]
    np.testing.assert_array_equal(data.items[1][..., 0], x[1])
    broken = folder / "t10k-images-idx3-ubyte.gz"
    broken.write_bytes(gzip.compress(b"\0\0\x08\x03\0\0"))
    assert refused("fashion_mnist") == (
        f"{broken} is not a whole IDX file of bytes; remove it, so that it is fetched again."
    )
    np.savez(tmp_path / "datasets" / "mnist.npz", x_test=x, y_test=np.array([1, 2]))
    assert read("mnist").labels.tolist() == [1, 2]


def test_without_keras_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(known, "find_spec", lambda _name: None)
    assert refused("mnist") == (
        "The data set mnist is not in any data folder (and Keras, which could download it, is not installed): "
        "give the folder that holds mnist/mnist.npz with --data-dir or EDGEKIT_DATA."
    )


@pytest.mark.slow
def test_offline_a_download_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEKIT_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody listens
    assert refused("mnist") == (
        "The data set mnist is not in any data folder (and Keras could not download it): "
        "give the folder that holds mnist/mnist.npz with --data-dir or EDGEKIT_DATA."
    )
    assert not any(Path(root, f).suffix == ".npz" for root, _, files in os.walk(tmp_path) for f in files)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "part", "count", "shape", "labels"),
    [
        ("mnist", Part.CALIBRATION, 60_000, (28, 28, 1), [5, 0, 4]),
        ("mnist", Part.EVALUATION, 8_000, (28, 28, 1), [7, 2, 1]),
        ("fashion_mnist", Part.EVALUATION, 8_000, (28, 28, 1), [9, 1, 6]),
        ("cifar10", Part.EVALUATION, 2_000, (32, 32, 3), [3, 7, 0]),
        ("notmnist", Part.TRAIN, 6_000, (28, 28, 1), [3, 5, 9]),
        ("orl_faces", Part.EVALUATION, 80, (112, 92, 1), [0, 0, 1]),
        ("imagenet_mini", Part.EVALUATION, 600, (256, 384, 3), [2, 4, 5]),
    ],
)
def test_the_real_sets(
    shared_data: Path, name: str, part: Part, count: int, shape: tuple[int, ...], labels: list[int]
) -> None:
    data = read(name, part, shared_data)
    assert (len(data), data.items[0].shape, data.labels[:3].tolist()) == (count, shape, labels)
    assert len(data.class_names) > data.labels.max()
