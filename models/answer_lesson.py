"""Learning to answer a short text with another one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard
from edgekit.data import Dataset
from edgekit.errors import DataError
from edgekit.models.batches import Share
from edgekit.models.lesson import Course, Terms
from edgekit.models.sequence_parts import Halves, divided, outputs_of, read_sequences, texts_of
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.models.token_loss import Foretold, foretold, token_loss
from edgekit.models.turns import Turns
from edgekit.models.vocabularies import characters_of, words_of
from edgekit.sequences import Encoding, Level, Sequences, Text, Vocabulary
from edgekit.tasks.answers import AnswersResult, evaluate_answers, right_tokens
from edgekit.tasks.texts import encode_ids, fitted, token_ids, tokenize

Array = npt.NDArray[Any]

MOST_STEPS = 1000
"""Tokens of a text or an answer; a whole one passes through a vector."""
_WORDS = "vec2seq"
"""The entry that answers in words; the others spell characters."""
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Token numbers of texts (count, length) and of their answers (count, answer length), int32."""

    texts: Array
    answers: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLesson:
    """Texts with answers; see `edgekit.models.lesson.Lesson`."""

    training: Answered
    validation: Answered
    text: Text
    preset: TrainingPreset
    seed: int
    share: Share
    counted = "top1"

    @property
    def plan(self) -> Turns:
        """How the batches are made."""
        count = len(self.training.texts)
        return Turns(count=count, batch_size=self.preset.batch_size, seed=self.seed, share=self.share)

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.plan.steps

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Inputs, the tokens of the answers, and their number."""
        for chosen, size in self.plan.of_epoch(epoch):
            answers = self.training.answers[chosen]
            yield encode_ids(self.training.texts[chosen], self.text), answers, float(size * answers.shape[1])

    def targets(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Token numbers."""
        return (((None, self.training.answers.shape[1]), np.int32),)

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The cross-entropies' sum, and how many tokens are right."""
        return token_loss(outputs, *targets)

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """Nats per token on the validation texts, the share of tokens that is right, and of whole answers."""
        found = answered_by(model, self.validation, self.text)
        return found.nats, {"top1": found.top1, "exact": found.exact}


def answered_by(model: Any, data: Answered, text: Text) -> Foretold:
    """How ``model`` foretells the answers of ``data``, with the tokens that fill them up, which it must learn too."""
    return foretold(model, ((encode_ids(data.texts[own], text), data.answers[own]) for own in _parts(data)))


def judged(model: Any, data: Answered, text: Text, answer: Text) -> tuple[AnswersResult, int]:
    """What `edgekit evaluate` says of ``model`` on ``data``, and of how many tokens; none of these fills up."""
    rows = [
        right_tokens(logits, wanted, answer)
        for own in _parts(data)
        for logits, wanted in zip(outputs_of(model, encode_ids(data.texts[own], text)), data.answers[own], strict=True)
    ]
    exact, right, tokens = np.array(rows).T
    return evaluate_answers(exact > 0, right, tokens), int(tokens.sum())


def _parts(data: Answered) -> list[slice]:
    return [slice(i, i + _BATCH) for i in range(0, len(data.texts), _BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerMaterial:
    """Texts with answers; see `edgekit.models.lesson.Material`. Vocabularies and lengths are the training part's."""

    parts: Halves
    text: Text
    answer: Text
    labels = None

    @property
    def arguments(self) -> Mapping[str, Value]:
        """Lengths and numbers of tokens."""
        return {
            "length": self.text.length,
            "tokens": len(self.text.vocabulary.tokens),
            "answer_length": self.answer.length,
            "answer_tokens": len(self.answer.vocabulary.tokens),
        }

    @property
    def keeps_items(self) -> bool:
        """Whether there is no test part."""
        return self.parts.held_out

    def course(self, terms: Terms) -> Course:
        """A share of the texts validates; the test is the share of answers that are right as a whole."""
        division = divided(self.parts, terms.preset.validation_fraction, terms.seed)
        lesson = AnswerLesson(
            training=self._answered(division.training),
            validation=self._answered(division.validation),
            text=self.text,
            preset=terms.preset,
            seed=terms.seed,
            share=terms.share,
        )
        test = self._answered(division.test)

        def tested(model: Any) -> tuple[Metric, ...]:
            (found, tokens), data = judged(model, test, self.text, self.answer), self.parts.test_name
            interval = {"low": found.exact_low, "high": found.exact_high}
            return (
                Metric(name="exact", value=found.exact, data=data, count=found.count, **interval),
                Metric(name="top1", value=found.top1, data=data, count=tokens),
            )

        return Course(lesson=lesson, learned=division.learned, test=tested)

    def completed(self, card: ModelCard) -> ModelCard:
        """``card`` with both vocabularies."""
        return replace(card, sequences=Sequences(text=self.text, answer=self.answer))

    def _answered(self, data: Dataset) -> Answered:
        assert data.answers is not None  # noqa: S101 - asked for where the data are read
        sides = ((texts_of(data), self.text), (data.answers, self.answer))
        texts, answers = (np.stack([_whole(t, how, data.name) for t in those]) for those, how in sides)
        return Answered(texts=texts, answers=answers)


def _whole(text: str, how: Text, name: str) -> Array:
    """The tokens of ``text``, filled up; one that is too long would be another text when cut."""
    ids = token_ids(text, how.vocabulary)
    if len(ids) > how.length:
        raise DataError(
            f"{name} has the text {text[:40]!r} of {len(ids)} tokens; the longest one that training knows has "
            f"{how.length}: put it into the training part."
        )
    return fitted(ids, how)


def answer_material(spec: ModelSpec, data: str, data_dir: Path | None) -> AnswerMaterial:
    """The texts with answers called ``data``."""
    parts = read_sequences(spec, data, data_dir, lambda found: found.answers is not None)
    train, name = parts.train, parts.train.name
    assert train.answers is not None  # noqa: S101
    spelt = characters_of(texts_of(train), name, lower=False, unknown=False, padding=True)
    words = spec.name == _WORDS
    vocabulary = (
        words_of(train.answers, name)
        if words
        else characters_of(train.answers, name, lower=False, unknown=False, padding=True)
    )
    return AnswerMaterial(
        parts=parts,
        text=_text(spelt, texts_of(train), name, Encoding.ONE_HOT),
        answer=_text(vocabulary, train.answers, name, Encoding.INDEX),
    )


def _text(vocabulary: Vocabulary, texts: tuple[str, ...] | list[str], name: str, encoding: Encoding) -> Text:
    longest = max(len(tokenize(text, vocabulary.level)) for text in texts)
    if longest > MOST_STEPS:
        what = "characters" if vocabulary.level is Level.CHARACTER else "words"
        raise DataError(
            f"{name} has a text of {longest:,} {what}; expected {MOST_STEPS:,} or fewer, which one vector must hold."
        )
    return Text(vocabulary=vocabulary, length=longest, encoding=encoding)
