"""What Bayesian networks learn by, what their noise is drawn from, and what their thresholds are of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_bayesian import both
from tiny_bayes import NARROW, blots, classifier, request, stripes

from edgekit.data import Part, open_data
from edgekit.demos.uncertain import doubts
from edgekit.measure.auroc import auroc
from edgekit.measure.strangers import strange_scores
from edgekit.measure.subjects import open_subjects
from edgekit.models.batches import Share
from edgekit.models.build import build
from edgekit.models.classification_lesson import predict
from edgekit.models.cluster import Together
from edgekit.models.image_material import image_material
from edgekit.models.lesson import Terms
from edgekit.models.passes import PASSES, draw, in_passes, pass_of
from edgekit.models.phases import phases
from edgekit.models.uncertain_lesson import SURE
from edgekit.models.variational import teach as teach_variational
from edgekit.preprocessing import preset
from edgekit.tasks.classification import as_probabilities, entropy_of
from edgekit.workers import silent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stripes(tmp_path_factory.mktemp("stripes"))


def bayes_course(name: str, data: Path, *, seed: int = 0) -> tuple[Any, Any, Any]:
    asked = request(name, data)
    arguments = asked.spec.resolved({**NARROW[name], "classes": 3})
    terms = Terms(
        preset=asked.settings(), arguments=arguments, preprocessing=asked.spec.preprocessing(arguments), seed=seed,
        share=Share(), progress=silent,
    )  # fmt: skip
    return image_material(asked.spec, str(data), None).course(terms), asked.spec, arguments


def test_each_network_has_the_threshold_of_its_own_validation_answers(data: Path) -> None:
    course, spec, arguments = bayes_course("mc_dropout", data)
    how, model = spec.preprocessing(arguments), build(spec, seed=0, **arguments)
    sampled, validation = course.sampled(model), course.lesson.validation
    alone = entropy_of(as_probabilities(predict(model, validation, how)))
    run = pass_of(sampled.model, sampled.uncertainty.noises)
    held = entropy_of(in_passes(run, validation, how, passes=PASSES, seed=1 << 30)[0])
    assert sampled.mean.threshold == pytest.approx(np.quantile(alone, SURE), rel=1e-5)
    assert sampled.uncertainty.threshold == pytest.approx(np.quantile(held, SURE), rel=1e-5)
    assert sampled.mean.threshold != pytest.approx(sampled.uncertainty.threshold, rel=1e-4)


def test_a_step_counts_the_divergence_by_the_share_of_the_images(data: Path) -> None:
    course, spec, arguments = bayes_course("bayes_dense", data)
    lesson, posterior = course.lesson, course.learner(build(spec, seed=0, **arguments))
    expected = float(posterior.divergence(lesson.preset.prior_deviation))
    teaching = teach_variational(posterior, lesson, phases(lesson.preset)[0], Together())
    *batch, size = next(iter(lesson.batches(1)))
    images, classes, weights, seed = batch
    loss = float(lesson.loss(posterior.logits(images, seed), classes, weights)[0])
    bound, _, kl = (float(value) for value in teaching.step(*batch, size))
    assert kl == pytest.approx(size / lesson.count * expected, rel=1e-5)
    assert bound == pytest.approx(loss + kl, rel=1e-4)


def test_no_step_draws_the_noise_of_another(data: Path) -> None:
    lesson = bayes_course("bayes_dense", data)[0].lesson
    seeds = [tuple(batch[-2].tolist()) for epoch in (1, 2, 3) for batch in lesson.batches(epoch)]
    assert len(set(seeds)) == len(seeds) == 3 * lesson.steps
    other = bayes_course("bayes_dense", data, seed=1)[0].lesson
    assert not set(seeds) & {tuple(batch[-2].tolist()) for batch in other.batches(1)}


def test_inputs_of_noise_differ_from_each_other() -> None:
    _, sample, noises = both("bayes_dense")
    first = [np.asarray(values).ravel()[:3] for values in draw(noises, sample, 1, np.array([1, 2], np.int32))]
    assert len(first) > 1
    assert len(np.unique(first, axis=0)) == len(first)


class Blank:
    """300 blank pictures."""

    def __len__(self) -> int:
        return 300

    def at(self, places: slice) -> Any:
        return np.zeros((len(range(300)[places]), 2, 2, 1), np.uint8)


def test_every_pass_and_every_batch_draws_anew() -> None:
    import tensorflow as tf

    def logits(images: Any, seed: Any) -> Any:
        return tf.random.stateless_normal((tf.shape(images)[0], 3), seed)

    how = preset("unit", size_hw=(2, 2), channels=1)
    found, entropies = in_passes(logits, Blank(), how, passes=4, seed=0)  # type: ignore[arg-type]
    assert (entropy_of(found) - entropies).min() > 1e-4
    assert not np.allclose(found[0], found[256])


def test_as_many_strangers_are_drawn_and_take_no_time_of_the_others(tmp_path: Path) -> None:
    path = classifier(tmp_path / "s.onnx", stripes(tmp_path))
    known, ood = (
        open_data(str(p), part=Part.EVALUATION, data_dir=None) for p in (tmp_path / "stripes.npz", blots(tmp_path))
    )
    subjects = open_subjects([path], preprocess=None, labels=None, threads=1, engines=())
    subjects[0].seconds = 7.0
    chosen = [strange_scores(subjects, ood, known=known, samples=10, seed=seed, passes=1)[1].indices for seed in (0, 1)]
    assert subjects[0].seconds == 7.0
    assert [len(indices) for indices in chosen] == [10, 10]
    assert chosen[0] != chosen[1]


def test_at_the_threshold_it_still_knows(tmp_path: Path) -> None:
    path = classifier(tmp_path / "s.onnx", stripes(tmp_path))
    Image.fromarray(np.load(tmp_path / "stripes.npz")["x_test"][0]).save(tmp_path / "a.png")
    (answer,) = doubts(path, [tmp_path / "a.png"], passes=2).answers
    below = np.nextafter(answer.doubt.entropy, 0)
    for threshold, known in ((answer.doubt.entropy, True), (below, False)):
        (again,) = doubts(path, [tmp_path / "a.png"], passes=2, threshold=threshold).answers
        assert bool(again.known) is known


def test_a_mask_keeps_what_is_not_dropped() -> None:
    assert {noise.keep for noise in both("mc_dropout")[2]} == {0.75}


def test_an_interval_stays_from_0_to_1_and_counts_both_sets() -> None:
    found = auroc(np.array([0.0, 1.0, 2.5]), np.array([2.0, 3.0, 4.0]))
    assert found.high == 1
    assert auroc(np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.5])).low == 0
