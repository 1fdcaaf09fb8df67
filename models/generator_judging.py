"""The test of a trained generator before a judge, as `evaluate` measures it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edgekit.artifact import open_artifact
from edgekit.card import Metric
from edgekit.data import Dataset
from edgekit.errors import InputError
from edgekit.generation import Generator
from edgekit.measure.generated import SAMPLES, Judging, Make, judge_generator, look_at_real
from edgekit.measure.held_out import HeldOut
from edgekit.measure.picture_judge import open_judge
from edgekit.models.images import Images
from edgekit.models.parts import Parts


def judging(
    path: Path, generator: Generator, parts: Parts, test: Images, *, model: str
) -> Callable[[Make], tuple[Metric, ...]]:
    """What gives a trained ``model``'s figures for its card: by the judge at ``path``, beside the pictures of the test.

    `InputError` now, before hours of training, for what is no judge of such pictures.
    """
    judge = open_judge(path)
    labels = parts.train.class_names
    held = parts.test or Dataset(name=parts.test_name, items=[test.at(slice(i, i + 1))[0] for i in range(len(test))])
    data = replace(held, labels=None, class_names=None)  # the judge's own accuracy is not asked for
    real = look_at_real(judge, data, HeldOut(data, [judge.artifact], samples=SAMPLES, seed=0))
    Judging(judge, real, generator, labels, model=model)

    def judged(make: Make) -> tuple[Metric, ...]:
        found = judge_generator(make, generator, judge, real, labels=labels, model=model)
        return found.for_card(parts.test_name, judge)

    return judged


def require_judged(model: Path, path: Path, *, data: str) -> None:
    """`InputError` where a finished ``model`` has no figures by the judge at ``path``: training is over."""
    digest = open_artifact(path).sha256
    if not any(f"judge {digest[:12]}" in metric.data for metric in open_artifact(model).card.metrics):
        raise InputError(
            f"{model.parent} holds this training, finished without that judge; measure it with edgekit evaluate "
            f"{model.parent} --data {data} --judge {path}, or give --force to train anew."
        )
