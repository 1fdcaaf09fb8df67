"""Which cells of a sweep are ranked, in which order, and what is said of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from boards import Board
from sweeping import QUICK

from edgekit.artifact import open_artifact
from edgekit.errors import CheckFailedError
from edgekit.sweep import Here, Sweep, sweep
from edgekit.sweep.plan import cells
from edgekit.sweep.ranking import doubts, rows, table, verdicts


def told_of(p50_ms: float, *flags: str, comparable: bool = True, within_limits: bool | None = None) -> dict[str, Any]:
    """A result of a benchmark as far as a ranking looks at it."""
    return {
        **{"artifact": "models/a.tflite", "sha256": "a", "format": "tflite", "recipe": "int8", "model_bytes": 1},
        **{"runtime": {"name": "litert", "version": "1"}, "latency_ms": {"p50": p50_ms, "p90": 2 * p50_ms}},
        **{"peak_rss_bytes": None, "valid": not flags, "flags": list(flags), "figure": {"name": "p50", "ms": p50_ms}},
        **{"comparable": comparable, "answers": None if within_limits is None else {"within_limits": within_limits}},
    }


def ranked(two: tuple[Path, ...], results: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    threads = tuple(range(1, len(results) + 1))
    asked = Sweep(files=two[:1], settings=replace(QUICK, threads=threads), **more)
    return rows(list(zip(cells(asked, [open_artifact(two[0])]), results, strict=False)), [])


def test_the_fastest_is_first_and_what_cannot_be_compared_last(two: tuple[Path, ...]) -> None:
    results = [told_of(3), told_of(1, "throttled: now", comparable=False), told_of(2, within_limits=True)]
    found = ranked(two, [*results, told_of(0.5, "answers: wrong", within_limits=False)])
    assert [(row["threads"], row["rank"]) for row in found] == [(3, 1), (1, 2), (4, None), (2, None)]
    assert verdicts(found) == ("On local the fastest of 2 is a.tflite in litert with 3 threads: 2 ms.",)
    assert doubts(found) == ["Not valid, answers on local: 1 cell.", "Not valid, throttled on local: 1 cell."]


def test_the_figure_that_counts_ranks(two: tuple[Path, ...]) -> None:
    slow = told_of(1) | {"figure": {"name": "p90", "ms": 9.0}}
    assert [row["threads"] for row in ranked(two, [slow, told_of(2)])] == [2, 1]


def test_what_is_doubtful_is_ranked_and_told(two: tuple[Path, ...]) -> None:
    found = ranked(two, [told_of(2), told_of(1, "drift: up", "load: 2 of 2")])
    assert [(row["threads"], row["rank"], row["valid"]) for row in found] == [(2, 1, False), (1, 2, True)]
    assert verdicts(found) == (
        "On local the fastest of 2 is a.tflite in litert with 2 threads: 1 ms. Some of these timings are not valid.",
    )
    assert doubts(found) == ["Not valid, drift on local: 1 cell.", "Not valid, load on local: 1 cell."]


def test_what_is_emulated_or_answers_wrongly_is_never_ranked(
    two: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = Sweep(files=two[:1], devices=("board://emulated", "board://wrong"), settings=replace(QUICK, threads=(1,)))
    report = sweep(asked, tmp_path / "out", site=Here(Board))
    assert [(row["rank"], row["valid"]) for row in report.rows] == 2 * [(None, False)]
    assert [line[0] for line in table(report.rows)[2]] == ["-", "-"]
    assert report.verdicts == tuple(
        f"On {device} nothing is ranked: it was throttled or emulated, or gave other answers."
        for device in asked.devices
    )
    with pytest.raises(CheckFailedError) as caught:
        report.require_success()
    assert str(caught.value) == "Answers are not those of this machine: convnet_int8.tflite on board://wrong."


def test_devices_are_ranked_each_by_itself(two: tuple[Path, ...]) -> None:
    asked = Sweep(files=two[:1], devices=("pi", "local"), settings=QUICK)
    pairs = zip(cells(asked, [open_artifact(two[0])]), map(told_of, (9, 8, 2, 1)), strict=True)
    found = rows(list(pairs), [])
    assert [(row["device"], row["threads"], row["rank"]) for row in found] == [
        *(("pi", 2, 1), ("pi", 1, 2), ("local", 2, 1), ("local", 1, 2)),
    ]


def test_the_most_accurate_is_told_too(two: tuple[Path, ...]) -> None:
    asked = Sweep(files=two, settings=replace(QUICK, threads=(1,)))
    results = [told_of(1), told_of(2) | {"sha256": "b", "artifact": "b.tflite"}]
    known = [{"sha256": s, "engine": "litert 1", "metrics": {"top1": top1}} for s, top1 in (("a", 0.5), ("b", 0.75))]
    found = rows(list(zip(cells(asked, [open_artifact(p) for p in two]), results, strict=True)), known)
    assert verdicts(found) == (
        "On local the fastest of 2 is a.tflite in litert with 1 thread: 1 ms, top-1 50.00 %; "
        "the most accurate is b.tflite in litert with 1 thread: 2 ms, top-1 75.00 %.",
    )
    assert [line[-1] for line in table(found)[2]] == ["50.00", "75.00"]


def test_errors_are_told_by_the_name_of_their_task_and_the_least_is_best(two: tuple[Path, ...]) -> None:
    asked = Sweep(files=two, settings=replace(QUICK, threads=(1,)))
    results = [told_of(1), told_of(2) | {"sha256": "b", "artifact": "b.tflite"}]
    known = [{"sha256": s, "engine": "litert 1", "metrics": {"eer": eer}} for s, eer in (("a", 0.25), ("b", 0.125))]
    found = rows(list(zip(cells(asked, [open_artifact(p) for p in two]), results, strict=True)), known)
    assert verdicts(found) == (
        "On local the fastest of 2 is a.tflite in litert with 1 thread: 1 ms, equal error rate 25.00 %; "
        "the most accurate is b.tflite in litert with 1 thread: 2 ms, equal error rate 12.50 %.",
    )
    assert table(found)[1][-1] == "equal error rate, %"
    assert [line[-1] for line in table(found)[2]] == ["25.00", "12.50"]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ("a", "; none of the 1 whose accuracy is known is more accurate."),
        (
            "b",
            "; the most accurate of the 1 whose accuracy is known is b.tflite in litert with 1 thread: 2 ms, "
            "top-1 50.00 %.",
        ),
        ("", "."),
    ],
)
def test_accuracies_that_are_not_known_are_not_less(two: tuple[Path, ...], known: str, words: str) -> None:
    asked = Sweep(files=two, settings=replace(QUICK, threads=(1,)))
    results = [told_of(1), told_of(2) | {"sha256": "b", "artifact": "b.tflite"}]
    accuracies = [{"sha256": known, "engine": "litert 1", "metrics": {"top1": 0.5}}]
    pairs = zip(cells(asked, [open_artifact(p) for p in two]), results, strict=True)
    (said,) = verdicts(rows(list(pairs), accuracies))
    assert said.endswith(words)
    assert (" accura" in said) == bool(known)
