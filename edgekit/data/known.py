"""Data sets known by name: where they are looked for, and what their classes are called."""

import gzip
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.affine_digits import affine_digits
from edgekit.data.arrays import dataset_of, load_npz
from edgekit.data.base import Dataset, Part
from edgekit.data.digit_scenes import scenes_of
from edgekit.data.known_sequences import OPINIONS, dow_jones, reviews, sentences
from edgekit.data.known_tables import NAMES as ANOMALIES
from edgekit.data.known_tables import digits_or_letters, fraud, odds
from edgekit.data.number_texts import number_names, sums
from edgekit.data.ratings_table import movielens
from edgekit.data.text_files import read_text
from edgekit.data.zips import read_zip
from edgekit.errors import DataError, need
from edgekit.workers import Worker, WorkerCrashError

Array = npt.NDArray[Any]

DIGITS_SPLIT_SEED = 0
DIGITS_TEST_COUNT = 360


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSet:
    """A data set known by ``name``. ``location`` is its path inside a data folder, none for data inside a package.

    ``keras`` is its path inside Keras' cache, none where Keras has no copy that can be read without unpickling.
    ``class_names`` is none where the file itself names them. ``digits`` names the set whose digits it shows, in scenes
    or as ``shown`` makes of them.
    ``read`` makes a part of the file at ``location``, or ``drawn`` of nothing, and gives it the name that comes last.
    """

    name: str
    title: str
    location: str | None
    class_names: tuple[str, ...] | None
    keras: str | None = None
    digits: str | None = None
    shown: Callable[[Dataset, Part, str], Dataset] | None = None
    read: Callable[[Path, Part, str], Dataset] | None = None
    drawn: Callable[[Part, str], Dataset] | None = None


_DIGITS = tuple("0123456789")
_SETS = (
    KnownSet(name="digits", title="digits of 8 x 8, inside scikit-learn", location=None, class_names=_DIGITS),
    KnownSet(
        name="mnist",
        title="MNIST handwritten digits of 28 x 28",
        location="mnist/mnist.npz",
        class_names=_DIGITS,
        keras="mnist.npz",
    ),
    KnownSet(
        name="fashion_mnist",
        title="Fashion-MNIST clothes of 28 x 28",
        location="fashion_mnist/fashion_mnist.npz",
        class_names=(
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        keras="fashion-mnist",
    ),
    KnownSet(
        name="cifar10",
        title="CIFAR-10 photos of 32 x 32",
        location="cifar10/cifar10.npz",
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    KnownSet(
        name="notmnist",
        title="notMNIST letters A to J of 28 x 28",
        location="notmnist/notmnist.npz",
        class_names=tuple("ABCDEFGHIJ"),
    ),
    KnownSet(
        name="orl_faces",
        title="ORL faces of 40 people, 112 x 92",
        location="orl_faces/orl_faces.npz",
        class_names=tuple(f"s{i}" for i in range(1, 41)),
    ),
    KnownSet(
        name="imagenet_mini",
        title="ImageNet photos, one of each of 600 classes",
        location="imagenet_mini/imagenet_mini.zip",
        class_names=None,
    ),
    KnownSet(
        name="coco_mini",
        title="COCO photos with boxes of 80 classes",
        location="coco_mini/coco_mini.zip",
        class_names=None,
    ),
    KnownSet(
        name="digit_scenes",
        title="drawn scenes with boxes of scikit-learn's digits",
        location=None,
        class_names=_DIGITS,
        digits="digits",
    ),
    KnownSet(
        name="mnist_scenes",
        title="drawn scenes with boxes of MNIST's digits",
        location=None,
        class_names=_DIGITS,
        digits="mnist",
    ),
    KnownSet(
        name="affine_mnist",
        title="MNIST's digits moved on 40 x 40, those of the test turned and stretched too",
        location=None,
        class_names=_DIGITS,
        digits="mnist",
        shown=affine_digits,
    ),
    KnownSet(
        name="warpeace",
        title="War and Peace, 3.2 million characters",
        location="text/warpeace_input.txt.gz",
        class_names=None,
        read=read_text,
    ),
    KnownSet(
        name="shakespeare",
        title="40,000 lines of Shakespeare, 1.1 million characters",
        location="text/tinyshakespeare.txt.gz",
        class_names=None,
        read=read_text,
    ),
    KnownSet(
        name="dow_jones",
        title="daily closes of the Dow Jones Industrial Average, 2001 to May 2017",
        location="dow_jones/DJI_yahoo_1985-2017.csv.gz",
        class_names=None,
        read=dow_jones,
    ),
    KnownSet(
        name="imdb",
        title="IMDb film reviews, 4,000 and 2,000",
        location="imdb/imdb_train.csv.gz",
        class_names=OPINIONS,
        read=reviews,
    ),
    KnownSet(
        name="rt_polarity",
        title="sentences of film reviews",
        location="imdb/rt_polarity.csv.gz",
        class_names=OPINIONS,
        read=sentences,
    ),
    KnownSet(
        name="movielens",
        title="ratings of 9,724 films by 610 users of MovieLens",
        location="movielens/ml-latest-small/ratings.csv.gz",
        class_names=None,
        read=movielens,
    ),
    KnownSet(name="sums", title="sums of two numbers below 1,000", location=None, class_names=None, drawn=sums),
    KnownSet(
        name="number_names",
        title="numbers below 10,000 and their English names",
        location=None,
        class_names=None,
        drawn=number_names,
    ),
    KnownSet(
        name="fraud",
        title="payments by card, 9,605 normal ones and 473 frauds",
        location="anomaly/creditcard_fraud_sample.csv.gz",
        class_names=ANOMALIES,
        read=fraud,
    ),
    *(
        KnownSet(name=name, title=title, location=f"anomaly/{file}.npz", class_names=ANOMALIES, read=odds)
        for name, title, file in (
            ("mammography", "calcifications in mammograms, 6 columns, 2.3 % anomalies", "mammography"),
            ("shuttle", "states of a space shuttle, 9 columns, 7.2 % anomalies", "shuttle"),
            ("thyroid", "thyroid glands, 6 columns, 2.5 % anomalies", "thyroid"),
            ("smtp", "connections to mail servers, 3 columns, 0.03 % anomalies", "kdd99_smtp"),
        )
    ),
    KnownSet(
        name="digits_or_letters",
        title="MNIST's digits, and letters of notMNIST as anomalies",
        location="notmnist/notmnist.npz",
        class_names=ANOMALIES,
        read=digits_or_letters,
    ),
)  # fmt: skip

KNOWN: Mapping[str, KnownSet] = MappingProxyType({s.name: s for s in _SETS})


def open_known(known: KnownSet, *, part: Part, data_dir: Path | None) -> Dataset:
    """The ``part`` of a known set; `DataError` says where it was looked for."""
    if known.digits is not None:
        digits = open_known(KNOWN[known.digits], part=part, data_dir=data_dir)
        return (
            scenes_of(digits, part, name=known.name) if known.shown is None else known.shown(digits, part, known.name)
        )
    if known.drawn is not None:
        return known.drawn(part, known.name)
    if known.location is None:
        return dataset_of(_digits(), part, name=known.name, where=known.name, class_names=known.class_names)
    folders = [Path(f) for f in (data_dir, os.environ.get("EDGEKIT_DATA")) if f]
    for folder in folders:
        path = folder / known.location
        if path.suffix == ".zip" and path.is_file():
            return read_zip(path)
        if path.is_file() and known.read is not None:
            return known.read(path, part, known.name)
        if path.is_file():
            return dataset_of(
                load_npz(path, part), part, name=known.name, where=str(path), class_names=known.class_names
            )
    if known.keras is not None:
        arrays = _from_keras(known, part, folders)
        return dataset_of(arrays, part, name=known.name, where=f"Keras' {known.name}", class_names=known.class_names)
    raise _not_found(
        known, folders, "Keras' copy is made of pickles, which are not opened" if "cifar" in known.name else ""
    )


def _not_found(known: KnownSet, folders: list[Path], reason: str) -> DataError:
    looked = " or ".join(str(f / str(known.location)) for f in folders) or "any data folder"
    return DataError(
        f"The data set {known.name} is not in {looked}{f' ({reason})' if reason else ''}: "
        f"give the folder that holds {known.location} with --data-dir or EDGEKIT_DATA."
    )


def _digits() -> dict[str, Array]:
    """scikit-learn's 1,797 digits as uint8 0..255, 1,437 to train and 360 to test, each class in both in proportion."""
    need("sklearn", extra="train")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    stored = load_digits()
    x = np.rint(stored.images * (255 / 16)).astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(
        x, stored.target, test_size=DIGITS_TEST_COUNT, stratify=stored.target, random_state=DIGITS_SPLIT_SEED
    )
    return {"x_train": x_train, "x_test": x_test, "y_train": y_train, "y_test": y_test}


def _from_keras(known: KnownSet, part: Part, folders: list[Path]) -> dict[str, Array]:
    """The arrays of Keras' own copy, downloaded by Keras when it is not in its cache yet."""
    cached = _keras_cache(known)
    if not _complete(cached):
        if find_spec("keras") is None:
            raise _not_found(known, folders, "and Keras, which could download it, is not installed")
        try:
            with Worker("edgekit.data.download", env={"TF_CPP_MIN_LOG_LEVEL": "3"}) as worker:
                worker.call("download", {"name": known.name})
        except WorkerCrashError:
            raise _not_found(known, folders, "and Keras could not download it") from None
    return _read_idx_folder(cached) if cached.suffix != ".npz" else load_npz(cached, part)


def _keras_cache(known: KnownSet) -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets" / str(known.keras)


_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


def _complete(cached: Path) -> bool:
    return cached.is_file() if cached.suffix == ".npz" else all((cached / f).is_file() for f in _IDX_FILES.values())


def _read_idx_folder(folder: Path) -> dict[str, Array]:
    return {key: read_idx(folder / name) for key, name in _IDX_FILES.items()}


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a gzipped IDX file in its shape (MNIST's format: 0, 0, 8 = unsigned byte, rank, sizes, data)."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a readable gzip file: {error}.") from None
    rank = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    shape = tuple(np.frombuffer(data[4 : 4 + 4 * rank], ">u4").tolist()) if len(data) >= 4 + 4 * rank else ()
    if not rank or len(data) != 4 + 4 * rank + int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{path} is not a whole IDX file of bytes; remove it, so that it is fetched again.")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
