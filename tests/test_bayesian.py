"""Bayesian classifiers: their two networks, what they learn, and that this goes on after a stop."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bayes import NARROW, request, stripes

from edgekit.artifact import attach_card, open_artifact
from edgekit.data.pass_noise import drawn
from edgekit.errors import InputError
from edgekit.models import image_material
from edgekit.models.build import build, build_file
from edgekit.models.listing import train_entry, train_rows, written
from edgekit.models.passes import FIRST_DEVIATION, KEPT_FLOAT, PASSES, VARIANCE, build_sample, noises_of, sample_path
from edgekit.models.registry import find_spec
from edgekit.models.train import TrainingInterruptedError, train
from edgekit.models.variational import begin, settle
from edgekit.models.weights import copy_weights
from edgekit.uncertainty import Distribution, Noise

each_name = pytest.mark.parametrize("name", sorted(NARROW))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stripes(tmp_path_factory.mktemp("stripes"))


def both(name: str) -> tuple[Any, Any, tuple[Noise, ...]]:
    """The mean network of the narrowed entry ``name``, that of a pass with its weights, and the noise of this one."""
    spec = find_spec(name)
    arguments = spec.resolved(NARROW[name])
    mean, sample = build(spec, seed=1, **arguments), build_sample(spec, arguments)
    copy_weights(mean, sample, anew=f".*{VARIANCE}")
    return mean, sample, noises_of(sample, arguments)


def images(count: int = 4) -> Any:
    return np.random.default_rng(0).random((count, 28, 28, 1), np.float32)


@each_name
def test_a_pass_without_noise_is_the_mean_network(name: str) -> None:
    mean, sample, noises = both(name)
    still = [
        np.full((4, *t.shape[1:]), float(n.distribution is Distribution.MASK), np.float32)
        for n, t in zip(noises, sample.inputs[1:], strict=True)
    ]
    np.testing.assert_allclose(sample([images(), *still]), mean(images()), atol=1e-5)
    moved = [drawn(n, s.shape, place) for place, (n, s) in enumerate(zip(noises, still, strict=True))]
    assert np.abs(np.asarray(sample([images(), *moved])) - np.asarray(mean(images()))).max() > 0.01


def test_what_is_drawn_for_outputs_is_what_drawing_weights_gives() -> None:
    """The mean and the variance of a linear classifier's logits, beside those over 20,000 draws of all its weights."""
    spec = find_spec("bayes_dense")
    sample, random = build_sample(spec, spec.resolved({"size": 4})), np.random.default_rng(1)
    kernel, bias = (random.uniform(0.01, 0.1, s).astype(np.float32) for s in ((16, 10), (10,)))
    sample.get_layer("logits_variance").set_weights([kernel, bias])
    image = random.random((1, 4, 4, 1)).astype(np.float32)
    noise = random.normal(0, 1, (20_000, 10)).astype(np.float32)
    found = np.asarray(sample([np.repeat(image, len(noise), axis=0), noise]))
    weights, offsets = sample.get_layer("logits").get_weights()
    x = image.reshape(16)
    by_weights = np.stack(
        [
            x @ (weights + np.sqrt(kernel) * random.normal(0, 1, weights.shape))
            + offsets
            + np.sqrt(bias) * random.normal(0, 1, 10)
            for _ in range(20_000)
        ]
    )
    np.testing.assert_allclose(found.mean(axis=0), by_weights.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(found.std(axis=0), by_weights.std(axis=0), rtol=0.03)


def test_both_files_of_each_load_in_stock_keras(tmp_path: Path) -> None:
    firsts = [
        build_file(find_spec(name), tmp_path / f"{name}.keras", overrides=NARROW[name]).path for name in sorted(NARROW)
    ]
    paths = [path for first in firsts for path in (first, sample_path(first))]
    code = (
        "import sys, keras\n"
        "for path in sys.argv[1:]:\n"
        "    model = keras.saving.load_model(path)\n"
        "    print(*{type(o).__module__.split('.')[0] for o in model.operations}, [t.name for t in model.inputs][0])\n"
        "print([m for m in sys.modules if m.startswith('edgekit')])"
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*["keras image"] * 6, "[]"]
    for first in firsts:
        assert attach_card(sample_path(first), open_artifact(sample_path(first)).card)  # which the model must fit
        card = open_artifact(sample_path(first)).card
        assert card.uncertainty is not None
        assert [noise.name for noise in card.uncertainty.noises] == [spec.name for spec in card.inputs[1:]]
        assert (card.uncertainty.passes, card.task) == (PASSES, "classification")
        normal = card.uncertainty.noises[0].distribution is Distribution.NORMAL
        assert card.keep_float == (KEPT_FLOAT if normal else ())
        mean = open_artifact(first).card.uncertainty
        assert mean is not None
        assert mean.noises == ()


def test_the_divergence_is_the_integral_of_its_definition() -> None:
    spec = find_spec("bayes_dense")
    posterior = begin(build_sample(spec, spec.resolved({"size": 2})), ())
    random, prior, by_hand = np.random.default_rng(0), 0.7, 0.0
    values = [random.normal(-1, 0.5, v.shape) for v in posterior.variables]
    for variable, value in zip(posterior.variables, values, strict=True):
        variable.assign(value)
    found = dict(zip((v.path for v in posterior.variables), values, strict=True))
    means = np.concatenate([found[f"logits/{part}"].ravel() for part in ("kernel", "bias")])
    rhos = np.concatenate([found[f"logits_variance/{part}"].ravel() for part in ("kernel", "bias")])
    deviations = np.log1p(np.exp(rhos))
    x = np.linspace(-12, 12, 20_001)
    for m, s in zip(means, deviations, strict=True):
        log_q = -((x - m) ** 2) / (2 * s**2) - np.log(s)
        log_p = -(x**2) / (2 * prior**2) - np.log(prior)
        by_hand += np.trapezoid(np.exp(log_q) * (log_q - log_p), x) / np.sqrt(2 * np.pi)
    assert float(posterior.divergence(prior)) == pytest.approx(by_hand, rel=1e-4)


def test_what_is_learned_settles_as_variances() -> None:
    _, sample, noises = both("bayes_dense")
    posterior = begin(sample, noises)
    settle(posterior)
    kernel, bias = sample.get_layer("logits_variance").get_weights()
    np.testing.assert_allclose(np.r_[kernel.ravel(), bias], FIRST_DEVIATION**2, rtol=1e-5)


def weights_of(path: Path) -> list[Any]:
    import keras

    return [layer for model in (path, sample_path(path)) for layer in keras.saving.load_model(model).get_weights()]


def interrupt(record: Any, _epochs: int) -> None:
    if record.epoch == 2:
        raise KeyboardInterrupt


@each_name
def test_a_training_learns_both_networks(name: str, data: Path, tmp_path: Path) -> None:
    path = train(request(name, data), tmp_path / "run")
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "history.json", "model.keras", "model.sample.keras", "settings.json",
    ]  # fmt: skip
    for file in (path, sample_path(path)):
        card = open_artifact(file).card
        figures = {metric.name: metric.value for metric in card.metrics}
        assert figures["top1"] > 0.9
        assert figures["nll"] < 0.8
        assert card.uncertainty is not None
        assert card.uncertainty.threshold is not None
        assert 0 < card.uncertainty.threshold < np.log(3)
    assert written(path) == f"{path} and {sample_path(path)}"
    told = dict(map(tuple, train_rows(train_entry(path))))
    for file, how in ((path, "without noise"), (sample_path(path), f"in {PASSES} passes with noise")):
        nll = next(metric for metric in open_artifact(file).card.metrics if metric.name == "nll")
        assert told[f"nll on {nll.data}, {how}"] == f"{nll.value:.4g} ({nll.count} items)"


@pytest.mark.parametrize("name", ["bayes_dense", "mc_dropout"])
def test_a_stopped_training_goes_on_to_the_same_bits(name: str, data: Path, tmp_path: Path) -> None:
    whole = train(request(name, data, epochs=3), tmp_path / "whole")
    with pytest.raises(TrainingInterruptedError):
        train(request(name, data, epochs=3), tmp_path / "stopped", on_epoch=interrupt)
    stopped = train(request(name, data, epochs=3), tmp_path / "stopped")
    for one, other in zip(weights_of(whole), weights_of(stopped), strict=True):
        assert np.array_equal(one, other)


def test_random_weights_learn_how_sure_they_are(data: Path, tmp_path: Path) -> None:
    import keras

    path = train(request("bayes_dense", data, epochs=2), tmp_path / "run")
    mean, sample = keras.saving.load_model(path), keras.saving.load_model(sample_path(path))
    for layer in mean.layers:
        for one, other in zip(layer.get_weights(), sample.get_layer(layer.name).get_weights(), strict=True):
            assert np.array_equal(one, other)
    kernel, _ = sample.get_layer("hidden_1_variance").get_weights()
    assert kernel.min() > 0
    assert np.abs(kernel / FIRST_DEVIATION**2 - 1).max() > 0.01


def test_several_workers_are_refused(data: Path) -> None:
    from edgekit.models.batches import Share
    from edgekit.models.lesson import Terms
    from edgekit.workers import silent

    asked = request("bayes_dense", data)
    material = image_material.image_material(asked.spec, str(data), None)
    arguments = asked.spec.resolved({**NARROW["bayes_dense"], "classes": 3})
    terms = Terms(
        preset=asked.settings(),
        arguments=arguments,
        preprocessing=asked.spec.preprocessing(arguments),
        seed=0,
        share=Share(index=0, count=2),
        progress=silent,
    )
    with pytest.raises(InputError) as caught:
        material.course(terms)
    assert str(caught.value) == "bayes_dense learns in one process; TF_CONFIG names 2 workers: unset it."
    material.course(replace(terms, share=Share(index=0, count=1)))
