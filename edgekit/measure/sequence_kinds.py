"""What is measured of sequence models by task."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.card import ModelCard
from edgekit.data.base import Dataset
from edgekit.errors import DataError, InputError
from edgekit.measure.blocks import difference_interval as block_difference
from edgekit.measure.kind import Array, Floats, Kind, only, shape_of
from edgekit.measure.paired import difference_interval, mcnemar_p, mean_difference_interval, sign_flip_p
from edgekit.sequences import Sequences
from edgekit.tasks import answers, forecasting, text_generation
from edgekit.tasks.texts import token_ids


def _text_score(outputs: Mapping[str, Array], data: Dataset, place: int, how: Sequences) -> tuple[float, ...]:
    logits, text = only(outputs), how.text
    assert text is not None  # noqa: S101 - `Kind.how` has been asked
    ids = token_ids(str(data.items[place]), text.vocabulary)
    if len(ids) <= text.length:
        raise DataError(f"A window has {len(ids)} tokens; the model is judged on {text.length + 1}: give longer texts.")
    if logits.shape != (text.length, len(text.vocabulary.tokens)):
        raise DataError(
            f"The output of a text generator is {shape_of(logits)} for one item; expected {text.length} x "
            f"{len(text.vocabulary.tokens)}: logits of the token that follows each one given."
        )
    targets = ids[1 : text.length + 1]
    nats = text_generation.token_nats(logits, targets)
    return float(nats.mean()), float((logits.argmax(axis=1) == targets).mean())


def _text_difference(first: Any, second: Any, _how: Sequences, seed: int) -> dict[str, float]:
    low, high = mean_difference_interval(first.nats, second.nats, seed=seed)
    return {
        "nats_difference": second.nats_per_token - first.nats_per_token,
        "nats_difference_low": low,
        "nats_difference_high": high,
        "p": sign_flip_p(first.nats, second.nats, seed=seed),
    }


def _forecast_score(outputs: Mapping[str, Array], data: Dataset, place: int, how: Sequences) -> tuple[float, ...]:
    output, series, window = only(outputs), how.series, data.items[place]
    assert series is not None  # noqa: S101 - `Kind.how` has been asked
    if output.size != 1 or not isinstance(window, np.ndarray):
        raise DataError(f"A forecast is {shape_of(output)} for one item; expected one number, the next scaled value.")
    return forecasting.errors_of(float(output.reshape(-1)[0]), window, series)


def _forecast_result(scores: Floats, how: Sequences, seed: int) -> forecasting.ForecastResult:
    return forecasting.evaluate_forecasts(scores[:, 0], scores[:, 1], reach=_reach(how), seed=seed)


def _forecast_difference(first: Any, second: Any, how: Sequences, seed: int) -> dict[str, float]:
    low, high = block_difference(first.squared, second.squared, reach=_reach(how), seed=seed)
    return {"mse_difference": second.mse - first.mse, "mse_difference_low": low, "mse_difference_high": high}


def _answer_score(outputs: Mapping[str, Array], data: Dataset, place: int, how: Sequences) -> tuple[float, ...]:
    if how.answer is None or data.answers is None:
        raise InputError(
            "The card of a sequence-to-sequence model tells what its answers are; expected a vocabulary of answers in "
            "it: make the file again with `edgekit convert`."
        )
    return answers.right_tokens(only(outputs), answers.answer_ids(data.answers[place], how.answer), how.answer)


def _answer_result(scores: Floats, _how: Sequences, _seed: int) -> answers.AnswersResult:
    return answers.evaluate_answers(scores[:, 0] > 0, scores[:, 1], scores[:, 2])


def _answer_difference(first: Any, second: Any, _how: Sequences, seed: int) -> dict[str, float]:
    low, high = difference_interval(first.correct, second.correct, seed=seed)
    return {
        "exact_difference": second.exact - first.exact,
        "exact_difference_low": low,
        "exact_difference_high": high,
        "mcnemar_p": mcnemar_p(first.correct, second.correct),
    }


def _reach(how: Sequences) -> int:
    return 1 if how.series is None else how.series.length


def _ratio_cells(m: Mapping[str, float]) -> list[str]:
    known = [f"{m[name]:.4g}" if name in m else "-" for name in ("mse_ratio", "mse_ratio_low", "mse_ratio_high")]
    return [known[0], "-" if known[1] == "-" else f"{known[1]}-{known[2]}"]


_TEXTS = "does not say how texts become its input"
_VALUES = "does not say how values become its input"


def _texts(card: ModelCard) -> Sequences | None:
    return card.sequences if card.sequences is not None and card.sequences.text is not None else None


def _series(card: ModelCard) -> Sequences | None:
    return card.sequences if card.sequences is not None and card.sequences.series is not None else None


SEQUENCE_KINDS: tuple[Kind, ...] = (
    Kind(
        task=text_generation.TASK,
        wanted="a long text: a known name or a .txt file",
        fits=lambda data: isinstance(data.whole, str),
        missing=_TEXTS,
        how=_texts,
        score=_text_score,
        result=lambda scores, _, seed: text_generation.evaluate_text(scores[:, 0], scores[:, 1], seed=seed),
        difference=_text_difference,
        columns=["nats/token", "95 %", "perplexity", "top-1 %"],
        cells=lambda m: [
            f"{m['nats_per_token']:.4f}",
            f"{m['nats_per_token_low']:.4f}-{m['nats_per_token_high']:.4f}",
            f"{m['perplexity']:.3f}",
            f"{100 * m['top1']:.2f}",
        ],
        difference_columns=["difference, nats", "95 %", "p"],
        difference_cells=lambda d: [
            f"{d['nats_difference']:+.4f}",
            f"{d['nats_difference_low']:+.4f} to {d['nats_difference_high']:+.4f}",
            f"{d['p']:.3g}",
        ],
    ),
    Kind(
        task=forecasting.TASK,
        wanted="a series: a known name or a .csv with columns of numbers",
        fits=lambda data: data.whole is not None and not isinstance(data.whole, str),
        missing=_VALUES,
        how=_series,
        score=_forecast_score,
        result=_forecast_result,
        difference=_forecast_difference,
        columns=["MSE, scaled", "MAE, scaled", "persistence MSE", "ratio", "95 %"],
        cells=lambda m: [f"{m[n]:.4g}" for n in ("mse", "mae", "persistence_mse")] + _ratio_cells(m),
        difference_columns=["difference, MSE", "95 %"],
        difference_cells=lambda d: [
            f"{d['mse_difference']:+.3g}",
            f"{d['mse_difference_low']:+.3g} to {d['mse_difference_high']:+.3g}",
        ],
        in_time=True,
    ),
    Kind(
        task=answers.TASK,
        wanted="texts with answers: a known name or a .csv with the columns input and output",
        fits=lambda data: data.answers is not None,
        missing=_TEXTS,
        how=_texts,
        score=_answer_score,
        result=_answer_result,
        difference=_answer_difference,
        columns=["exact %", "95 %", "tokens %"],
        cells=lambda m: [
            f"{100 * m['exact']:.2f}",
            f"{100 * m['exact_low']:.1f}-{100 * m['exact_high']:.1f}",
            f"{100 * m['top1']:.2f}",
        ],
        difference_columns=["difference, points", "95 %", "p"],
        difference_cells=lambda d: [
            f"{100 * d['exact_difference']:+.2f}",
            f"{100 * d['exact_difference_low']:+.2f} to {100 * d['exact_difference_high']:+.2f}",
            f"{d['mcnemar_p']:.3g}",
        ],
    ),
)
"""What is measured of each task of sequence models that has a metric of its own; texts in classes are classified."""
