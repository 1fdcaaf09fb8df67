"""Learning to name the class of a text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import Metric, ModelCard
from edgekit.data import Dataset
from edgekit.errors import DataError
from edgekit.models.batches import Share, class_weights
from edgekit.models.classification_lesson import cross_entropy
from edgekit.models.lesson import Course, Terms
from edgekit.models.sequence_parts import Halves, divided, length_of, outputs_of, read_sequences, texts_of
from edgekit.models.spec import ModelSpec, TrainingPreset, Value
from edgekit.models.turns import Turns
from edgekit.models.vocabularies import words_of
from edgekit.sequences import Encoding, Sequences, Side, Text, Vocabulary
from edgekit.tasks.classification import evaluate_classification
from edgekit.tasks.texts import fitted, token_ids

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Texts as their token numbers, of any length, with class ids ``labels`` (count,) int64."""

    ids: tuple[Array, ...]
    labels: npt.NDArray[np.int64]

    def inputs(self, text: Text) -> Array:
        """All texts as the model takes them, (count, length) int32."""
        return np.stack([fitted(ids, text) for ids in self.ids])


@dataclass(frozen=True, slots=True, kw_only=True)
class OpinionLesson:
    """Texts with a class each; see `edgekit.models.lesson.Lesson`.

    Of a text that is too long an epoch sees some stretch, another one every time.
    """

    training: Labelled
    validation: Labelled
    text: Text
    classes: int
    preset: TrainingPreset
    seed: int
    share: Share
    counted = "accuracy"

    @property
    def plan(self) -> Turns:
        """How the batches are made."""
        count = len(self.training.ids)
        return Turns(count=count, batch_size=self.preset.batch_size, seed=self.seed, share=self.share)

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self.plan.steps

    def batches(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Token numbers, class ids, the weight of each text, and the number of texts."""
        labels = self.training.labels
        by_class = class_weights(labels, self.classes) if self.preset.balanced else np.ones(self.classes, np.float32)
        for chosen, size in self.plan.of_epoch(epoch):
            own = np.stack([self._stretch(int(index), epoch) for index in chosen])
            yield own, labels[chosen].astype(np.int32), by_class[labels[chosen]], float(size)

    def _stretch(self, index: int, epoch: int) -> Array:
        ids, room = self.training.ids[index], len(self.training.ids[index]) - self.text.length
        if room > 0:
            start = int(np.random.default_rng([self.seed, epoch, index]).integers(room + 1))
            ids = ids[start : start + self.text.length]
        return fitted(ids, self.text)

    def targets(self, _model: Any) -> tuple[tuple[tuple[int | None, ...], type[np.generic]], ...]:
        """Class ids and weights."""
        return ((None,), np.int32), ((None,), np.float32)

    def loss(self, outputs: Any, *targets: Any) -> tuple[Any, Any]:
        """The weighted cross-entropies' sum, and how many texts are classified right."""
        import tensorflow as tf

        labels, weights = targets
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
        right = tf.equal(tf.argmax(outputs, axis=-1, output_type=tf.int32), labels)
        return tf.reduce_sum(weights * losses), tf.reduce_sum(tf.cast(right, tf.int32))

    def judge(self, model: Any) -> tuple[float, Mapping[str, float]]:
        """Cross-entropy and accuracy on the validation texts."""
        logits, labels = outputs_of(model, self.validation.inputs(self.text)), self.validation.labels
        weights = class_weights(labels, self.classes)[labels] if self.preset.balanced else None
        right = float(np.mean(logits.argmax(axis=1) == labels))
        return cross_entropy(logits, labels, weights=weights), {"accuracy": right}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpinionMaterial:
    """Texts with classes; see `edgekit.models.lesson.Material`. The vocabulary is that of the training part.

    What is validated on is not left out of it: it tells only which words there are.
    """

    parts: Halves
    vocabulary: Vocabulary

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The numbers of classes and tokens."""
        return {"classes": self.parts.classes, "tokens": len(self.vocabulary.tokens)}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes."""
        return self.parts.train.class_names

    @property
    def keeps_items(self) -> bool:
        """Whether there is no test part."""
        return self.parts.held_out

    def course(self, terms: Terms) -> Course:
        """A share of every class validates; the test is accuracy on the test part."""
        text = self._text(int(terms.arguments["length"]))
        division = divided(self.parts, terms.preset.validation_fraction, terms.seed)
        lesson = OpinionLesson(
            training=self._labelled(division.training),
            validation=self._labelled(division.validation),
            text=text,
            classes=self.parts.classes,
            preset=terms.preset,
            seed=terms.seed,
            share=terms.share,
        )

        def tested(model: Any) -> tuple[Metric, ...]:
            test = self._labelled(division.test)
            result = evaluate_classification(outputs_of(model, test.inputs(text)), test.labels)
            figures = {"value": result.top1, "low": result.top1_low, "high": result.top1_high}
            return (Metric(name="top1", data=self.parts.test_name, count=result.count, **figures),)

        return Course(lesson=lesson, learned=division.learned, test=tested)

    def completed(self, card: ModelCard) -> ModelCard:
        """``card`` with the vocabulary."""
        return replace(card, sequences=Sequences(text=self._text(length_of(card))))

    def _text(self, length: int) -> Text:
        """The end of a text tells most of what it feels, and the last step most to a network."""
        vocabulary = self.vocabulary
        return Text(vocabulary=vocabulary, length=length, encoding=Encoding.INDEX, keep=Side.END, fill=Side.START)

    def _labelled(self, data: Dataset) -> Labelled:
        return Labelled(ids=tuple(token_ids(text, self.vocabulary) for text in texts_of(data)), labels=_labels(data))


def _labels(data: Dataset) -> npt.NDArray[np.int64]:
    assert data.labels is not None  # noqa: S101 - asked for where the data are read
    return data.labels


def opinion_material(spec: ModelSpec, data: str, data_dir: Path | None) -> OpinionMaterial:
    """The labelled texts called ``data``, and as many words as ``spec`` has tokens by default."""
    parts = read_sequences(
        spec, data, data_dir, lambda found: found.labels is not None and isinstance(found.items[0], str)
    )
    if len(np.unique(_labels(parts.train))) < 2:
        raise DataError(f"{parts.train.name} has texts of one class only; expected two or more classes.")
    vocabulary = words_of(texts_of(parts.train), parts.train.name, int(spec.defaults["tokens"]))
    return OpinionMaterial(parts=parts, vocabulary=vocabulary)
