"""Learning to foretell the next character of a long text."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard
from edgekit.data import item_digest
from edgekit.errors import DataError
from edgekit.models.batches import Share
from edgekit.models.lesson import Course, Terms
from edgekit.models.sequence_parts import Halves, end_of, length_of, read_sequences
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.models.token_loss import Foretold, foretold, token_loss
from edgekit.models.turns import starts_of_epoch
from edgekit.models.vocabularies import characters_of
from edgekit.sequences import Encoding, Sequences, Text, Vocabulary
from edgekit.tasks.texts import encode_ids, token_ids

Array = npt.NDArray[Any]

_BATCH = 64
"""Windows that a model foretells at once when it is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingLesson:
    """Windows of a text, at other places in every epoch; see `edgekit.models.lesson.Lesson`.

    ``training`` and ``validation`` are token numbers, (tokens,) int32.
    """

    training: Array
    validation: Array
    text: Text
    preset: TrainingPreset
    seed: int
    share: Share
    counted = "top1"

    @property
    def steps(self) -> int:
        """Batches of one epoch: the preset's number, or as many as show each character about once."""
        each = self.text.length * self.preset.batch_size
        return self.preset.epoch_steps or max(1, len(self.training) // each)

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """One-hot windows, the characters that follow each of theirs, and the number of characters."""
        size, length = self.preset.batch_size, self.text.length
        random = np.random.default_rng([self.seed, epoch])
        for starts in starts_of_epoch(len(self.training) - length, self.steps, size, random):
            own = starts[self.share.index :: self.share.count]
            cut = self.training[own[:, None] + np.arange(length + 1)]
            yield encode_ids(cut[:, :-1], self.text), cut[:, 1:], float(size * length)

    def targets(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """The number of each next character."""
        return (((None, self.text.length), np.int32),)

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The cross-entropies' sum, and how many characters are foretold right."""
        return token_loss(outputs, *targets)

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """Nats per character of the validation part, and the share foretold right."""
        found = foretold_text(model, self.validation, self.text)
        return found.nats, {"top1": found.top1}


def foretold_text(model: Any, ids: Array, text: Text) -> Foretold:
    """How ``model`` foretells a text of token numbers ``ids``, in windows that begin where the one before ends."""
    rows = (len(ids) - 1) // text.length
    cut = ids[np.arange(rows)[:, None] * text.length + np.arange(text.length + 1)]
    batches = (cut[i : i + _BATCH] for i in range(0, rows, _BATCH))
    return foretold(model, ((encode_ids(own[:, :-1], text), own[:, 1:]) for own in batches))


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingMaterial:
    """A long text; see `edgekit.models.lesson.Material`. The vocabulary is that of its part for training."""

    parts: Halves
    vocabulary: Vocabulary
    labels = None
    keeps_items = False

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The number of tokens."""
        return {"tokens": len(self.vocabulary.tokens)}

    def course(self, terms: Terms) -> Course:
        """The end of the training part validates; the test is nats per character on the text's own end."""
        text = self._text(int(terms.arguments["length"]))
        learn, test = (token_ids(str(part.whole), self.vocabulary) for part in (self.parts.train, self.parts.test))
        cut = end_of(len(learn), terms.preset.validation_fraction)
        for what, ids in (("training", learn[:cut]), ("validation", learn[cut:]), ("test", test)):
            if len(ids) <= text.length:
                raise DataError(
                    f"The {what} part of {self.parts.train.name} has {len(ids):,} characters; a window takes "
                    f"{text.length + 1:,}: give a longer text."
                )
        lesson = WritingLesson(
            training=learn[:cut],
            validation=learn[cut:],
            text=text,
            preset=terms.preset,
            seed=terms.seed,
            share=terms.share,
        )

        def tested(model: Any) -> tuple[Metric, ...]:
            found = foretold_text(model, test, text)
            figures = {"nats_per_token": found.nats, "perplexity": math.exp(found.nats), "top1": found.top1}
            name = self.parts.train.name
            return tuple(Metric(name=n, value=v, data=name, count=found.tokens) for n, v in figures.items())

        return Course(lesson=lesson, learned=(item_digest(str(self.parts.train.whole)),), test=tested)

    def completed(self, card: ModelCard) -> ModelCard:
        """``card`` with the vocabulary."""
        return replace(card, sequences=Sequences(text=self._text(length_of(card))))

    def _text(self, length: int) -> Text:
        return Text(vocabulary=self.vocabulary, length=length, encoding=Encoding.ONE_HOT)


def writing_material(spec: ModelSpec, data: str, data_dir: Path | None) -> WritingMaterial:
    """The long text called ``data``, in lower case."""
    parts = read_sequences(spec, data, data_dir, lambda found: isinstance(found.whole, str))
    whole = str(parts.train.whole)
    vocabulary = characters_of([whole], parts.train.name, lower=True, unknown=True, padding=False)
    return WritingMaterial(parts=parts, vocabulary=vocabulary)
