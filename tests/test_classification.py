"""Accuracies, calibration error and the matching of labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from sklearn.metrics import accuracy_score, confusion_matrix, top_k_accuracy_score

from edgekit.data import Dataset
from edgekit.data.arrays import ArrayItems
from edgekit.errors import DataError, InputError
from edgekit.tasks import evaluate_classification, match_labels, read_labels
from edgekit.tasks.classification import Certainty, as_probabilities, class_scores, expected_calibration_error, rank_of

CASES = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, (n, 8), elements=st.floats(-50, 50, width=32), unique=True),
        arrays(np.int64, n, elements=st.integers(0, 7)),
    )
)


@given(CASES)
def test_accuracies_equal_scikit_learns(case: tuple[Any, Any]) -> None:
    scores, labels = case
    result = evaluate_classification(scores, labels)
    predicted = scores.argmax(axis=1)
    assert result.top1 == pytest.approx(accuracy_score(labels, predicted))
    assert result.top5 == pytest.approx(top_k_accuracy_score(labels, scores, k=5, labels=range(8)))
    np.testing.assert_array_equal(result.confusion, confusion_matrix(labels, predicted, labels=range(8)))
    assert result.confusion.sum() == result.count == len(labels)
    assert result.top1_low <= result.top1 <= result.top1_high


@given(CASES)
def test_logits_become_their_softmax_and_probabilities_stay(case: tuple[Any, Any]) -> None:
    scores = case[0] + 60  # above 1, where nothing can be taken for a probability
    probabilities = softmax(scores.astype(np.float64), axis=1)
    np.testing.assert_allclose(as_probabilities(scores), probabilities, atol=1e-12)
    np.testing.assert_array_equal(as_probabilities(probabilities), probabilities)


def test_an_eight_bit_softmax_is_taken_for_probabilities() -> None:
    rng = np.random.default_rng(0)
    for classes in (2, 10, 1001):
        exact = softmax(rng.normal(0, 3, (50, classes)), axis=1)
        stored = np.rint(exact * 256).clip(0, 255) / 256
        np.testing.assert_array_equal(as_probabilities(stored), stored)


def test_logits_between_zero_and_one_are_not_taken_for_probabilities() -> None:
    logits = np.random.default_rng(0).random((50, 10))
    np.testing.assert_allclose(as_probabilities(logits), softmax(logits, axis=1))


def test_the_calibration_error_equals_a_calculation_by_hand() -> None:
    # Bins of width 1/15: 0.95 and 0.97 share the last, 0.5 and 0.52 the eighth, 0.18 and 0.2 the third (its upper bound
    # counts).
    confidence = np.array([0.95, 0.97, 0.5, 0.52, 0.2, 0.18])
    correct = np.array([True, False, True, True, False, True])
    by_hand = (abs(0.96 - 0.5) * 2 + abs(0.51 - 1.0) * 2 + abs(0.19 - 0.5) * 2) / 6
    assert expected_calibration_error(confidence, correct) == pytest.approx(by_hand)


def test_a_calibrated_model_has_no_calibration_error_and_an_overconfident_one_has() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.2, 1, 20_000)
    assert expected_calibration_error(confidence, rng.random(20_000) < confidence) < 0.02
    assert expected_calibration_error(confidence, rng.random(20_000) < confidence / 2) > 0.2


def test_constant_scores_are_right_only_for_the_first_classes() -> None:
    result = evaluate_classification(np.zeros((8, 8)), np.arange(8))
    assert (result.top1, result.top5) == (1 / 8, 5 / 8)
    assert rank_of(np.zeros((2, 8)), np.array([0, 7])).tolist() == [0, 7]


def test_top5_says_nothing_of_five_classes() -> None:
    result = evaluate_classification(np.eye(5), np.arange(5))
    assert result.top5 is None
    assert sorted(result.metrics()) == ["ece", "entropy", "nll", "top1", "top1_high", "top1_low"]


def certainty(scores: Any, labels: Any, **options: Any) -> Certainty:
    found = evaluate_classification(scores, labels, **options).certainty
    assert found is not None
    return found


def test_scores_of_each_class_for_itself_tell_nothing_of_certainty() -> None:
    lengths, labels = np.array([[0.97, 0.03], [0.4, 0.9], [0.6, 0.5]]), np.array([0, 1, 1])
    result, taken = (evaluate_classification(lengths, labels, independent=told) for told in (True, False))
    assert (result.certainty, sorted(result.metrics())) == (None, ["top1", "top1_high", "top1_low"])
    assert taken.certainty is not None
    assert {**taken.metrics(), **result.metrics()} == taken.metrics()  # accuracies are the same
    with pytest.raises(DataError, match=r"^The model's output has 6 of 6 values that are NaN or infinite; "):
        evaluate_classification(np.nan * lengths, labels, independent=True)


def test_loss_and_entropy_are_in_nats() -> None:
    result = certainty(np.log([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]), np.array([0, 1]))
    assert result.nll == pytest.approx(-(np.log(0.7) + np.log(0.25)) / 2)
    by_hand = [-sum(p * np.log(p) for p in row) for row in ((0.7, 0.2, 0.1), (0.25, 0.25, 0.5))]
    assert result.entropies.tolist() == pytest.approx(by_hand)
    assert result.entropy == pytest.approx(np.mean(by_hand))
    assert result.mutual_information is None


def test_a_softmax_that_says_zero_costs_no_more_than_can_be_averaged() -> None:
    result = certainty(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    assert result.losses.tolist() == [0, pytest.approx(-np.log(1e-12))]
    assert result.entropies.tolist() == [0, 0]


def test_passes_that_disagree_have_mutual_information() -> None:
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])  # two passes over one item
    split = certainty(sure.mean(axis=0)[None], np.array([0]), pass_entropies=np.zeros(1))
    assert split.mutual_information == pytest.approx(np.log(2))
    alike = certainty(np.full((1, 2), 0.5), np.array([0]), pass_entropies=np.full(1, np.log(2)))
    assert alike.mutual_information == pytest.approx(0)
    assert "mutual_information" in alike.metrics()


def test_a_damaged_classifier_shows_in_loss_and_entropy() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 500)
    logits = random.normal(0, 1, (500, 10)) + 6 * np.eye(10)[labels]
    good, swapped, mute = (certainty(scores, labels) for scores in (logits, np.roll(logits, 1, axis=1), 0.0 * logits))
    assert swapped.nll > good.nll + 3
    assert mute.entropy == pytest.approx(np.log(10))
    assert mute.entropy > good.entropy + 1


@pytest.mark.parametrize(
    ("scores", "labels", "sentence"),
    [
        (
            np.full((2, 3), np.nan),
            np.array([0, 1]),
            "The model's output has 6 of 6 values that are NaN or infinite; expected finite numbers.",
        ),
        (
            np.zeros((2, 3)),
            np.array([0, 3]),
            "A label is 3; the model has 3 outputs, so expected 0..2.",
        ),
        (
            np.zeros((2, 3, 4)),
            np.array([0, 1]),
            "Classification needs scores (items, classes) and a label for each item; got (2, 3, 4) and (2,).",
        ),
    ],
)
def test_outputs_that_mean_nothing_are_refused(scores: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        evaluate_classification(scores, labels)
    assert str(caught.value) == sentence


def test_scores_are_found_in_one_vector() -> None:
    assert class_scores({"y": np.zeros((1, 1, 7))}, model="m").shape == (7,)
    for outputs, sentence in (
        ({"a": np.zeros(2), "b": np.zeros(2)}, "m has 2 outputs (a, b); expected a classifier with one."),
        (
            {"y": np.zeros((4, 6))},
            "Output 'y' of m is 4 x 6 for one item; expected one score for each of two or more classes.",
        ),
        (
            {"y": np.zeros(1)},
            "Output 'y' of m is 1 for one item; expected one score for each of two or more classes.",
        ),
    ):
        with pytest.raises(DataError) as caught:
            class_scores(outputs, model="m")
        assert str(caught.value) == sentence


def labelled(names: tuple[str, ...] | None, ids: tuple[int, ...] = (0, 2)) -> Dataset:
    """A set of three classes called ``names``."""
    items = ArrayItems(np.zeros((len(ids), 1), np.float32))
    return Dataset(name="pets", items=items, labels=np.array(ids, np.int64), class_names=names)


PETS = ("cat", "dog", "fox")


@pytest.mark.parametrize(
    ("data_names", "outputs", "names", "expected"),
    [
        (PETS, 3, None, (0, 1, 2)),
        (PETS, 3, ("Cat", " dog", "FOX"), (0, 1, 2)),
        (PETS, 3, ("fox", "cat", "dog"), (1, 2, 0)),
        (PETS, 3, ("Katze", "Hund", "Fuchs"), (0, 1, 2)),
        (PETS, 3, ("cat", "Hund", "fox"), (0, 1, 2)),
        (PETS, 4, ("background", "cat", "dog", "fox"), (1, 2, 3)),
        (PETS, 4, ("Background", "Katze", "Hund", "Fuchs"), (1, 2, 3)),
        (PETS, 5, ("bird", "fox", "cat", "cow", "dog"), (2, 4, 1)),
        (("crane", "crane", "fox"), 4, ("background", "crane", "crane", "fox"), (1, 2, 3)),
        (None, 3, None, (0, 1, 2)),
        (None, 7, None, (0, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_labels_are_matched(data_names: Any, outputs: int, names: Any, expected: tuple[int, ...]) -> None:
    assert match_labels(labelled(data_names), outputs, names, model="m").to_output == expected


CANNOT = (
    "The 3 classes of the data set pets cannot be matched with the {} outputs of m: "
    "give the names of its outputs, in their order, with --labels."
)


@pytest.mark.parametrize(
    ("data_names", "outputs", "names", "sentence"),
    [
        (PETS, 4, None, CANNOT.format(4)),
        (PETS, 1001, None, CANNOT.format(1001)),
        (PETS, 3, ("cat", "fox", "cow"), CANNOT.format(3)),
        (PETS, 4, ("cat", "dog", "dog", "fox"), CANNOT.format(4)),
        (PETS, 4, ("other", "Katze", "Hund", "Fuchs"), CANNOT.format(4)),
        (("crane", "crane", "fox"), 3, ("fox", "crane", "heron"), CANNOT.format(3)),
        (PETS, 3, ("cat", "dog"), "m has 3 outputs and 2 labels; give as many with --labels."),
        (None, 2, None, "The data set pets has the class id 2; m has outputs 0..1."),
        (
            None,
            1001,
            None,
            "m counts the background as class 0 and the data set pets does not name its classes: "
            "give their names with classes.csv beside labels.csv, and the model's with --labels.",
        ),
    ],
)
def test_labels_are_never_guessed(data_names: Any, outputs: int, names: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        match_labels(labelled(data_names), outputs, names, model="m")
    assert str(caught.value) == sentence


def test_data_without_labels_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        match_labels(Dataset(name="photos", items=ArrayItems(np.zeros((1, 1)))), 3, None, model="m")
    assert str(caught.value) == (
        "The data set photos has no labels; expected a sub-folder for each class, labels.csv, y in an .npz, or "
        "for texts a .csv with text and label."
    )


def test_a_label_map_goes_both_ways() -> None:
    both = match_labels(labelled(PETS), 5, ("bird", "fox", "cat", "cow", "dog"), model="m")
    assert both.outputs(np.array([0, 1, 2])).tolist() == [2, 4, 1]
    assert both.class_ids(np.array([2, 4, 1, 0, 3])).tolist() == [0, 1, 2, -1, -4]


def test_labels_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffbackground\ncat \n\ndog\n\n", encoding="utf-8")
    assert read_labels(path) == ("background", "cat", "", "dog")
    path.write_bytes(b"\n")
    for bad, sentence in (
        (path, f"The labels file {path} is empty; expected one class name a line."),
        (tmp_path / "no.txt", f"The labels file {tmp_path / 'no.txt'} cannot be read: No such file or directory."),
    ):
        with pytest.raises(InputError) as caught:
            read_labels(bad)
        assert str(caught.value) == sentence
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError) as caught:
        read_labels(path)
    assert str(caught.value) == f"{path} is not a text file in UTF-8; expected one class name a line."


@pytest.mark.shared_data
def test_imagenets_names_meet_the_1001_outputs_one_further(shared_data: Path) -> None:
    from edgekit.data import Part, open_data

    data = open_data("imagenet_mini", part=Part.EVALUATION, data_dir=shared_data)
    names = read_labels(shared_data / "models" / "labels_imagenet_1001.txt")
    assert match_labels(data, 1001, names, model="m").to_output == tuple(range(1, 1001))
