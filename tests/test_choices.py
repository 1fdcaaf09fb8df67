"""Agreement is told of what a model chooses, and of nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import edgekit
from test_evaluate_sequences import NEXT
from tiny_ratings import data_of, recommender
from tiny_sequences import forecaster, generator, stepper
from tiny_tables import detector, table, write_csv
from tiny_verifier import pictures, verifier

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.converters.parity import compare_outputs
from edgekit.detection import Detection, Head
from edgekit.measure.answers import Given, compare_answers
from edgekit.measure.choices import agreed_in_words, agreement, largest_is_chosen, same_choices
from edgekit.measure.compare import compare
from edgekit.measure.layers import compare_layers
from edgekit.measure.same import same_answers
from edgekit.runtimes import open_runtime

ONE = np.array([[0.5, 3.0], [0.5, 0.1], [2.0, 0.0], [9.0, 0.0]], np.float32)
OTHER = np.array([[0.5, 0.2], [0.5, 0.1], [0.0, 2.0], [9.0, 0.0]], np.float32)
SCORES = (np.array([[0.5], [2.0], [2.0], [9.0]]), np.array([[0.5], [2.0], [0.9], [9.0]]))


def test_a_classifier_chooses_its_largest_value() -> None:
    same = same_choices(None, "logits", ONE, OTHER)
    assert same is not None
    assert same.tolist() == [False, True, False, True]
    assert same_choices(None, "logits", ONE[:, :1], OTHER[:, :1]) is None
    assert same_choices(None, "image", ONE[None], OTHER[None]) is None


def test_a_detector_of_anomalies_chooses_by_its_threshold_alone(tmp_path: Path) -> None:
    card = open_artifact(detector(tmp_path / "d.onnx", [0, 1, 1], threshold=1.0)).card
    same = same_choices(card, "score", *SCORES)
    assert same is not None
    assert same.tolist() == [True, True, False, True]
    assert same_choices(card, "reconstruction", ONE, OTHER) is None
    runs = [{"reconstruction": values, "score": scores} for values, scores in zip((ONE, OTHER), SCORES, strict=True)]
    assert agreement(card, same_answers(*runs), *runs) == 0.75
    parity = compare_outputs(*runs, what="d.onnx", synthetic=False, card=card)
    assert parity.agreement == 0.75
    bare = [{"reconstruction": run["reconstruction"]} for run in runs]
    assert compare_outputs(*bare, what="d.onnx", synthetic=False).agreement == 0.5


def test_what_is_no_choice_agrees_in_none(tmp_path: Path) -> None:
    paths = (
        recommender(tmp_path / "r.onnx", [0.5, 0.5, 0.5, 0.5]),
        verifier(tmp_path),
        forecaster(tmp_path / "f.onnx", [0, 0, 1]),
    )
    for path in paths:
        card = open_artifact(path).card
        assert not largest_is_chosen(card)
        assert same_choices(card, "reconstruction", ONE, OTHER) is None
        runs = {"y": ONE}, {"y": OTHER}
        assert agreement(card, same_answers(*runs), *runs) is None
        parity = compare_outputs(*runs, what="m", synthetic=False, card=card)
        assert parity.agreement is None


def test_tokens_are_chosen_one_by_one(tmp_path: Path) -> None:
    card = open_artifact(generator(tmp_path / "g.onnx", NEXT)).card
    same = same_choices(card, "logits", ONE[None], OTHER[None])
    assert same is not None
    assert same.mean() == 0.5
    assert same_choices(card, "state", ONE, OTHER) is None
    runs = [{"logits": values[None], "state": values[None, 0]} for values in (ONE, OTHER)]
    assert agreement(card, same_answers(*runs), *runs) == 0.5
    states = [{"state": run["state"]} for run in runs]
    assert agreement(card, same_answers(*states), *states) is None


def test_a_file_of_one_time_step_chooses_a_token_and_its_states_none(tmp_path: Path) -> None:
    card = open_artifact(stepper(tmp_path / "step.onnx", NEXT)).card
    assert card.sequences is not None
    (state,) = card.sequences.states
    runs = [{"logits": values, state.output: turned} for values, turned in ((ONE, ONE), (OTHER, ONE))]
    assert agreement(card, same_answers(*runs), *runs) == 0.5
    runs = [{"logits": ONE, state.output: values} for values in (ONE, OTHER)]
    assert agreement(card, same_answers(*runs), *runs) == 1.0


def test_agreement_is_told_in_the_word_for_what_is_chosen(tmp_path: Path) -> None:
    anomalies = open_artifact(detector(tmp_path / "d.onnx", [0, 1, 1], threshold=1.0)).card
    texts = open_artifact(generator(tmp_path / "g.onnx", NEXT)).card
    classes = ModelCard(name="c", inputs=(), outputs=())
    told = [agreed_in_words(card, 0.75) for card in (anomalies, texts, classes)]
    assert told == [f", the same {word} for 75%" for word in ("verdict", "token", "class")]
    assert agreed_in_words(classes, None) == ""
    objects = replace(classes, detection=Detection(head=Head.SSD_POSTPROCESS))
    runs = {"scores": ONE}, {"scores": OTHER}
    assert agreement(classes, same_answers(*runs), *runs) == 0.5
    assert agreement(objects, same_answers(*runs), *runs) is None


@pytest.mark.parametrize(("threshold", "agreed"), [(1e9, 1.0), (1.0, None)])
def test_compare_tells_the_verdicts_of_anomalies(tmp_path: Path, threshold: float, agreed: float | None) -> None:
    whole = detector(tmp_path / "whole.onnx", [0, 1, 1], threshold=threshold)
    deaf = detector(tmp_path / "deaf.onnx", [1, 1, 1], threshold=threshold)
    (entry,) = compare(whole, [deaf], table()).entries
    told = {output.name: output.agreement for output in entry.outputs}
    assert told["reconstruction"] is None
    expected = agreed if agreed is not None else float(np.mean(table().items.values[:, 0] ** 2 / 3 <= threshold))  # type: ignore[attr-defined]
    assert told["score"] == entry.metrics()["agreement"] == pytest.approx(expected)
    done = edgekit("compare", whole, deaf, "--data", write_csv(tmp_path / "t.csv", labelled=False))
    assert f"{100 * expected:.2f}" in done.stdout


def test_compare_tells_no_agreement_of_ratings_and_embeddings(tmp_path: Path) -> None:
    films = data_of((["1", "2", "3"], [3, 4, 2], [False, True, True]))
    path = recommender(tmp_path / "r.onnx", [0.5, 0.5, 0.5, 0.5])
    (entry,) = compare(path, [path], films).entries
    assert "agreement" not in entry.metrics()
    tower = verifier(tmp_path)
    done = edgekit("compare", tower, tower, "--data", pictures(tmp_path / "people"), "--json", "-")
    assert done.returncode == 0, done.stderr
    assert '"agreement"' not in done.stdout


def test_layers_of_a_detector_of_anomalies_have_no_agreement(tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", [0, 1, 1])
    (entry,) = compare_layers(path, [path], table()).entries
    assert entry.metrics["max_abs"] == 0
    assert "agreement" not in entry.metrics


def test_a_device_agrees_in_the_verdicts_of_anomalies_and_in_no_ratings(tmp_path: Path) -> None:
    for path, there, agreed in (
        (detector(tmp_path / "d.onnx", [0, 1, 1], threshold=1.0), {"score": np.array([[0.2]], np.float32)}, 0.5),
        (recommender(tmp_path / "r.onnx", [0.5, 0.5, 0.5, 0.5]), {}, None),
    ):
        runtime = open_runtime(path)
        feeds = 2 * [{runtime.inputs[0].name: np.full((1, runtime.inputs[0].shape[1] or 1), 2, np.float32)}]
        runs = [runtime.run(feed) for feed in feeds]
        given = Given(engine="here", outputs=runtime.outputs, runs=runs)
        assert compare_answers(open_artifact(path), given, [runs[0], runs[1] | there]).agreement == agreed
