"""Items for calibration: real, drawn by the seed, recorded by digest, refused where they cannot serve."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgekit.card import DataRef, ModelCard, Provenance, TensorSpec
from edgekit.converters import Request, convert
from edgekit.converters.calibration import SYNTHETIC_ITEMS, find_data, synthetic_calibration, write_calibration
from edgekit.converters.manifest import load_manifest
from edgekit.converters.samples import Samples
from edgekit.data import Dataset, item_digest
from edgekit.data.arrays import ArrayItems
from edgekit.data.windows import long_data
from edgekit.errors import DataError, InputError
from edgekit.preprocessing import preset
from edgekit.recipe import Batch, Precision, Recipe
from edgekit.sequences import Encoding, Level, Sequences, Text
from edgekit.tasks.texts import vocabulary_of
from edgekit.workers import silent

X = TensorSpec(name="x", shape=(None, 2), dtype="float32")
PAIRS = np.arange(20, dtype=np.float32).reshape(10, 2)


def dataset(values: npt.NDArray[np.float32] = PAIRS) -> Dataset:
    return Dataset(name="pairs", items=ArrayItems(values))


def written(folder: Path, *, count: int = 4, seed: int = 0) -> tuple[DataRef, npt.NDArray[np.float32]]:
    made = write_calibration(dataset(), (X,), None, count=count, seed=seed, folder=folder, progress=silent)
    assert made.ref is not None
    assert not made.synthetic
    return made.ref, np.array(made.samples.arrays()["x"])


def test_the_record_is_of_the_items_that_were_used(tmp_path: Path) -> None:
    ref, used = written(tmp_path / "a", seed=3)
    assert (ref.name, ref.count, ref.seed) == ("pairs", 4, 3)
    assert ref.items == tuple(item_digest(item) for item in used)
    assert {tuple(item) for item in used} < {tuple(item) for item in PAIRS}


def test_the_seed_decides_which_items_are_drawn(tmp_path: Path) -> None:
    first, again, other = (written(tmp_path / str(i), seed=seed)[0] for i, seed in enumerate((0, 0, 1)))
    assert first == again
    assert set(first.items) != set(other.items)


def test_fewer_items_than_asked_for_are_all_used(tmp_path: Path) -> None:
    ref, used = written(tmp_path / "all", count=99)
    assert ref.count == 10
    assert sorted(map(tuple, used)) == sorted(map(tuple, PAIRS))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_items_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    values = PAIRS.copy()
    values[7, 1] = bad
    with pytest.raises(DataError) as caught:
        write_calibration(dataset(values), (X,), None, count=10, seed=0, folder=tmp_path / "a", progress=silent)
    assert str(caught.value) == "An item for input 'x' holds NaN or infinite values; expected finite numbers."


@pytest.mark.parametrize("count", [3, 99])
def test_what_was_held_out_of_the_training_does_not_calibrate(count: int, tmp_path: Path) -> None:
    learned = [item_digest(item) for item in PAIRS[:6]]
    made = write_calibration(
        dataset(), (X,), None, count=count, seed=0, folder=tmp_path / "a", progress=silent, learned=learned
    )
    assert made.ref is not None
    assert made.ref.count == min(count, 6)
    assert set(made.ref.items) <= set(learned)


def test_other_data_than_the_training_calibrates_whole(tmp_path: Path) -> None:
    others = [item_digest(item) for item in PAIRS + 100]
    made = write_calibration(
        dataset(), (X,), None, count=99, seed=0, folder=tmp_path / "a", progress=silent, learned=others
    )
    assert made.ref is not None
    assert made.ref.count == len(PAIRS)


def trained_on(name: str) -> ModelCard:
    training = DataRef(name=name, digest="", count=1)
    return ModelCard(name="m", inputs=(X,), outputs=(), provenance=Provenance(training=training))


def test_the_card_names_the_data_where_the_user_names_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "pairs.npz", x=PAIRS)
    card = trained_on(str(tmp_path / "pairs.npz"))
    found = find_data(None, card, required=True, data_dir=None)
    assert found is not None
    assert len(found) == 10
    own = dataset(PAIRS[:3])
    assert find_data(own, card, required=True, data_dir=None) is own


def test_data_that_is_not_required_may_be_missing() -> None:
    assert find_data(None, None, required=False, data_dir=None) is None
    assert find_data(None, trained_on("gone.npz"), required=False, data_dir=None) is None


def test_integer_recipes_are_refused_without_real_data() -> None:
    with pytest.raises(InputError) as caught:
        find_data(None, None, required=True, data_dir=None)
    assert str(caught.value) == (
        "Integer recipes measure ranges on real data, and the model's card names none; "
        "give some with --calibration DATA."
    )
    with pytest.raises(InputError) as caught:
        find_data(None, trained_on("gone.npz"), required=True, data_dir=None)
    assert str(caught.value) == (
        "The data 'gone.npz', which the model was trained on, cannot be opened (There is no file or folder gone.npz.) "
        "Give other data with --calibration DATA."
    )
    with pytest.raises(DataError) as empty:
        find_data(dataset(PAIRS[:0]), None, required=True, data_dir=None)
    assert str(empty.value) == "pairs holds no items; expected at least one for calibration."


def test_synthetic_inputs_lie_where_preprocessing_puts_images(tmp_path: Path) -> None:
    image = TensorSpec(name="x", shape=(None, 4, 6, 3), dtype="float32")
    for index, (how, low, high) in enumerate(((preset("tf", size_hw=(4, 6)), -1.0, 1.0), (None, 0.0, 1.0))):
        made = synthetic_calibration((image,), how, seed=0, folder=tmp_path / str(index))
        values = made.samples.arrays()["x"]
        assert made.synthetic
        assert values.shape == (SYNTHETIC_ITEMS, 4, 6, 3)
        assert (low, high) == pytest.approx((float(values.min()), float(values.max())), abs=0.02)


def test_every_second_synthetic_input_ends_in_what_the_model_masks(tmp_path: Path) -> None:
    spec = TensorSpec(name="x", shape=(None, 6, 3), dtype="float32")
    made = synthetic_calibration((spec,), None, seed=0, folder=tmp_path / "samples", padding={"x": -1.0})
    masked = (made.samples.arrays()["x"] == -1.0).all(axis=2)
    assert not masked[::2].any()
    assert masked[1::2].tolist() == [[False, False, False, True, True, True]] * (SYNTHETIC_ITEMS // 2)


def test_samples_come_back_in_order_and_batches(tmp_path: Path) -> None:
    feeds = [{"a": np.full(2, i), "b": np.full((), -i)} for i in range(5)]
    Samples.write(tmp_path / "s", feeds, 5)
    batches = list(Samples.open(tmp_path / "s").batches(2, 3))
    assert [b["a"][:, 0].tolist() for b in batches] == [[0, 1], [2]]
    assert [b["b"].tolist() for b in batches] == [[0, -1], [-2]]
    with pytest.raises(DataError) as caught:
        Samples.write(tmp_path / "t", feeds[:4], 5)
    assert str(caught.value) == "The data gave 4 items; expected 5."


# --- manifests and requests, refused before any engine starts -------------------------------------------------------


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.manifest.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"^\S+x\.manifest\.json (is|lacks) "):
        load_manifest(path)


def test_a_manifest_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.manifest.json"
    with pytest.raises(InputError) as caught:
        load_manifest(path)
    assert str(caught.value) == f"{path} does not exist; give the .manifest.json file of an earlier conversion."


def test_recipes_of_one_conversion_share_the_batch_setting(tiny_models: Path) -> None:
    recipes = tuple(Recipe(precision=Precision.FP32, batch=batch) for batch in Batch)
    with pytest.raises(InputError) as caught:
        convert(Request(source=tiny_models / "convnet.keras", recipes=recipes))
    assert str(caught.value) == (
        "All recipes of one conversion share batch and seed, as they share the work; convert twice."
    )


def test_a_manifest_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.manifest.json"
    settings = {
        "source": "m.keras", "recipes": [], "formats": [], "calibration": None, "data_dir": None, "preprocess": None,
        "labels": None,
    }  # fmt: skip
    manifest = {
        "schema_version": 2, "settings": settings, "source_sha256": "", "calibration": None, "tools": {},
        "artifacts": [], "notes": [],
    }  # fmt: skip
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError) as caught:
        load_manifest(path)
    assert str(caught.value) == (f"{path} has schema version 2; this edgekit reads 1: use the edgekit that wrote it.")


def test_inputs_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    spec = TensorSpec(name="words", shape=(1, 2), dtype="string")
    with pytest.raises(InputError) as caught:
        synthetic_calibration((spec,), None, seed=0, folder=tmp_path / "samples")
    assert str(caught.value) == (
        "Input 'words' is string; a converted model takes numbers: leave that part out of the model."
    )
    assert not (tmp_path / "samples").exists()


def test_a_long_text_calibrates_only_what_goes_on_with_one() -> None:
    how = Text(vocabulary=vocabulary_of("ab", level=Level.CHARACTER), length=4, encoding=Encoding.INDEX)
    book = long_data("ab" * 14, None, name="book")

    def found(task: str | None) -> Dataset | None:
        card = ModelCard(name="m", inputs=(X,), outputs=(), task=task, sequences=Sequences(text=how))
        return find_data(book, card, required=True, data_dir=None)

    for task in (None, "text-generation"):
        cut = found(task)
        assert cut is not None
        assert cut.items[0] == "ababa"
    with pytest.raises(
        DataError, match=r"^book is one long text; the model takes texts by themselves: give a \.csv with a column of"
    ):
        found("text-classification")
