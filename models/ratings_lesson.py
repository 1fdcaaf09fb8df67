"""Learning what users will think of items from ratings of others."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard
from edgekit.data import Dataset, item_digest
from edgekit.data.ratings_table import hidden_rows
from edgekit.errors import DataError, InputError
from edgekit.models.contrastive import HIDDEN, SIX, STANDARDIZED, VISIBLE, Machine, divergence
from edgekit.models.fitting import batch_signature
from edgekit.models.images import drawing, split
from edgekit.models.lesson import Course, Teaching, Terms
from edgekit.models.parts import read_parts
from edgekit.models.phases import Phase, rate_for
from edgekit.models.sequence_parts import NEEDS
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.models.turns import Turns
from edgekit.ratings import RECONSTRUCTION, Ratings, encode_user, is_user, user_of
from edgekit.tasks.recommendation import RecommendationResult, errors_of, evaluate_recommendations

Array = npt.NDArray[Any]
_BATCH = 256
_LARGEST_SEED = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingsLesson:
    """Users with ratings; see `edgekit.models.lesson.Lesson`. ``training`` is (users, items), as a model takes it."""

    training: Array
    validation: tuple[Array, ...]
    how: Ratings
    preset: TrainingPreset
    seed: int
    steps_of_chains: int
    persistent: bool

    @property
    def plan(self) -> Turns:
        """How the batches are made."""
        return Turns(count=len(self.training), batch_size=self.preset.batch_size, seed=self.seed)

    @property
    def share(self) -> Any:
        """All of every batch."""
        return self.plan.share

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.plan.steps

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Ratings, the places of the users, the seed of all that is drawn, and the number of ratings."""
        random = np.random.default_rng([self.seed, epoch, 1])
        for chosen, _ in self.plan.of_epoch(epoch):
            own, seed = self.training[chosen], random.integers(_LARGEST_SEED, size=2)
            yield own, chosen.astype(np.int32), seed.astype(np.int32), float((own >= 0).sum())

    def targets(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Places and a seed."""
        return ((None,), np.int32), ((2,), np.int32)

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """The mean squared error at hidden ratings of the validation users, and that of the items' means."""
        found = judged(model, self.validation, self.how)
        return found.mse, {"item_mean_mse": found.item_mean_mse}


def judged(model: Any, users: tuple[Array, ...], how: Ratings) -> RecommendationResult:
    """What `edgekit evaluate` says of the Keras ``model`` on ``users`` with hidden ratings."""
    rows = []
    for start in range(0, len(users), _BATCH):
        own = users[start : start + _BATCH]
        answers = model.predict_on_batch(np.stack([encode_user(user, how) for user in own]))[RECONSTRUCTION]
        rows += [errors_of(np.asarray(answer), user, how) for answer, user in zip(answers, own, strict=True)]
    return evaluate_recommendations(np.array(rows))


def teach(model: Any, lesson: RatingsLesson, phase: Phase, _together: Any) -> Teaching:
    """Plain steps along the contrastive divergence; the layer that reconstructs has the same weights, turned round."""
    import tensorflow as tf

    first, last = model.get_layer(HIDDEN), model.get_layer(VISIBLE)
    means, deviation = _scale_of(model)
    decay, planned = lesson.preset.weight_decay, rate_for(lesson.preset, phase, lesson.steps)
    done = tf.Variable(0, trainable=False, dtype=tf.int64, name="steps")
    chains = _chains(len(lesson.training), first.units, lesson.seed) if lesson.persistent else None

    def own(ratings: Any, *rest: Any) -> tuple[Any, ...]:
        places, seed, _ = rest
        rate = planned(done) if callable(planned) else planned
        done.assign_add(1)
        rated = tf.cast(ratings >= 0, tf.float32)
        seen = rated * (ratings - means) / deviation
        machine = Machine(
            kernel=first.kernel.value,
            visible_bias=(last.bias / SIX - means) / deviation,
            hidden_bias=first.bias.value,
            normal=True,
        )
        expected = means + deviation * machine.visible(machine.hidden(seen))
        error = tf.reduce_sum(rated * tf.square(tf.clip_by_value(expected, 0, 1) - ratings))
        found = divergence(
            machine,
            seen,
            rated,
            steps=lesson.steps_of_chains,
            seed=seed,
            chains=None if chains is None else tf.gather(chains, places),
        )
        first.kernel.assign_add(rate * (found.kernel - decay * machine.kernel))
        first.bias.assign_add(rate * found.hidden_bias)
        last.bias.assign_add(SIX * rate * deviation * found.visible_bias)
        last.kernel.assign(SIX * deviation * tf.transpose(first.kernel.value))
        if chains is not None:
            chains.assign(tf.tensor_scatter_nd_update(chains, places[:, None], found.chains))
        return (error,)

    step: Callable[..., Any] = tf.function(own, input_signature=batch_signature(model, lesson), autograph=False)
    return Teaching(step=step, figures=(), variables=[done, *([] if chains is None else [chains])])


def _scale_of(model: Any) -> tuple[Array, float]:
    """The mean of every item, (items,) float32, and the deviation of all ratings from these."""
    layer = model.get_layer(STANDARDIZED)
    return layer.moving_mean.numpy(), float(np.sqrt(layer.moving_variance.numpy()[0]))


def _chains(users: int, hidden: int, seed: int) -> Any:
    """The first states of the hidden units of every user's chain."""
    import tensorflow as tf

    states = drawing(seed, "chains").integers(2, size=(users, hidden))
    return tf.Variable(states.astype(np.float32), trainable=False, name="chains")


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingsMaterial:
    """Users with ratings, and what of it a model knows; see `edgekit.models.lesson.Material`."""

    train: Dataset
    test: Dataset
    how: Ratings
    left_out: int
    labels = None
    keeps_items = False

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The number of items."""
        return {"items": len(self.how.items)}

    def course(self, terms: Terms) -> Course:
        """A share of the users validates by a fifth of their ratings; the test is the same of the held-out users."""
        if terms.share.count > 1:
            raise InputError(f"rbm learns in one process; TF_CONFIG names {terms.share.count} workers: unset it.")
        users = _users(self.train)
        groups = np.zeros(len(users), np.int64)
        kept, held = split(groups, terms.preset.validation_fraction, terms.seed, purpose="validation")
        training = np.stack([encode_user(users[index], self.how) for index in kept])
        lesson = RatingsLesson(
            training=training[(training >= 0).any(axis=1)],
            validation=tuple(_partly_hidden(users[index], index) for index in held),
            how=self.how,
            preset=terms.preset,
            seed=terms.seed,
            steps_of_chains=int(terms.arguments["steps"]),
            persistent=terms.arguments["chains"] == "persistent",
        )
        test = _users(self.test)

        def tested(model: Any) -> tuple[Metric, ...]:
            found = judged(model, test, self.how)
            return metrics_of(found, self.train.name)

        return Course(
            lesson=lesson,
            learned=tuple(item_digest(user) for user in users),
            test=tested,
            learner=lambda model: self._standardized(model, lesson.training),
            teacher=teach,
        )

    def completed(self, card: ModelCard) -> ModelCard:
        """``card`` with the items, and how much of the data was left out."""
        note = f"{self.left_out:,} ratings of the training part are of items with too few ratings, and were left out"
        provenance = replace(card.provenance, notes=(*card.provenance.notes, note))
        return replace(card, ratings=self.how, provenance=provenance)

    def _standardized(self, model: Any, training: Array) -> Any:
        """``model`` that expects the items' means of everybody until it learns."""
        means = self.how.scaled(self.how.means)
        gaps = np.where(training >= 0, training - means, np.nan)
        variance = float(np.nanmean(gaps**2))
        if not variance > 0:
            raise DataError(f"All users of {self.train.name} rate an item alike; there is nothing to learn.")
        layer, last = model.get_layer(STANDARDIZED), model.get_layer(VISIBLE)
        layer.moving_mean.assign(means)
        layer.moving_variance.assign(np.full(len(means), variance, np.float32))
        last.bias.assign(SIX * means)
        last.kernel.assign(SIX * np.sqrt(variance) * model.get_layer(HIDDEN).kernel.numpy().T)
        return model


def metrics_of(found: RecommendationResult, data: str) -> tuple[Metric, ...]:
    """The figures of a card."""
    figures = found.metrics()
    return tuple(
        Metric(
            name=name,
            value=figures[name],
            data=data,
            count=found.ratings,
            low=figures.get(f"{name}_low"),
            high=figures.get(f"{name}_high"),
        )
        for name in ("mse", "item_mean_mse", "offset_mse", "mse_ratio")
        if name in figures
    )


def ratings_material(spec: ModelSpec, data: str, data_dir: Path | None) -> RatingsMaterial:
    """The ratings called ``data``; the model knows the items with as many ratings as ``spec`` asks for.

    Items' means are of all users of the training part.
    """
    parts = read_parts(data, data_dir)
    train, test = parts.train, parts.test
    if train.catalogue is None or test is None:
        raise DataError(f"{data} is no data for {spec.name}; expected {NEEDS[spec.task]}.")
    users = _users(train)
    items = sorted({item for user in users for item in user["item"].tolist()})
    place_of = {item: place for place, item in enumerate(items)}  # an array of all names has the room of the longest
    places = np.concatenate([[place_of[item] for item in user["item"].tolist()] for user in users])
    ratings = np.concatenate([user["rating"] for user in users])
    counts = np.bincount(places)
    least = int(spec.defaults["least"])
    known = counts >= least
    if not known.any():
        raise DataError(f"No item of {data} has {least} ratings or more to learn from; give more ratings.")
    sums = np.bincount(places, weights=ratings)
    learned, ends = known[places], (train.catalogue.lowest, train.catalogue.highest)
    kept = tuple(itertools.compress(items, known))
    how = Ratings(
        items=kept,
        titles=tuple(train.catalogue.titles[item] for item in kept),
        lowest=train.catalogue.lowest,
        highest=train.catalogue.highest,
        mean=float(np.clip(ratings[learned].mean(dtype=np.float64), *ends)),
        means=tuple(np.clip(np.round(sums[known] / counts[known], 6), *ends).tolist()),
    )
    return RatingsMaterial(train=train, test=test, how=how, left_out=int((~learned).sum()))


def _users(data: Dataset) -> tuple[Array, ...]:
    return tuple(user for user in data if is_user(user))


def _partly_hidden(user: Array, number: int) -> Array:
    """``user`` with a fifth of the ratings hidden, where there are two or more."""
    hidden = np.zeros(len(user), np.bool_)
    if len(user) > 1:
        hidden[hidden_rows(len(user), str(number), 0)] = True
    return user_of(user["item"], user["rating"], hidden)
