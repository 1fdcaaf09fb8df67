"""Tables for people, in terminals of any width."""

import os
import subprocess
import sys

import pytest

from edgekit.cli.tables import fit, print_table

FIGURES = [["file", "net.int8.tflite"], *[[f"figure {i}", "0.1234"] for i in range(12)]]
REASONS = [["file", "a"], ["in float", "Transpose has no integer form in this engine"], ["seconds", "1.0"]]


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", width)
    print_table("Figures [of] a file", [c[0] for c in FIGURES], [[c[1] for c in FIGURES]])
    return capsys.readouterr().out.splitlines()


def test_a_table_that_fits_is_one_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(capsys, monkeypatch, "200")
    assert lines[0].rstrip() == "Figures [of] a file"
    assert len(lines) == 6
    assert lines[4].count("0.1234") == 12


def test_a_wide_table_is_cut_between_columns_and_repeats_the_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(capsys, monkeypatch, "80")
    rows = [line for line in lines if "0.1234" in line]
    assert max(map(len, lines)) <= 80
    assert len(rows) == 2
    assert all("net.int8.tflite" in row for row in rows)
    assert sum(row.count("0.1234") for row in rows) == 12
    assert [line.rstrip() for line in lines if line[0].isalpha()] == ["Figures [of] a file", "continued"]
    assert sum("Figures" in line for line in lines) == 1


def test_words_are_wrapped_before_a_table_is_cut() -> None:
    assert fit(REASONS, 200) == [{0: 4, 1: 44, 2: 7}]
    assert fit(REASONS, 50) == [{0: 4, 1: 29, 2: 7}]
    assert fit(REASONS, 40) == [{0: 4, 1: 29}, {0: 4, 2: 7}]


def test_a_name_longer_than_the_terminal_is_folded() -> None:
    (part,) = fit([["file", "x" * 300], ["other", "y" * 300]], 60)
    assert part == {0: 30, 1: 23}


def test_commands_for_a_terminal_become_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("he\0at", ["\x1b[31mred"], [["a\x1b[2J\nb"]])
    told = capsys.readouterr().out
    assert all(sign.isprintable() or sign == "\n" for sign in told)
    assert all(shown in told for shown in ("he\ufffdat", "\ufffd[31mred", "a\ufffd[2J", " b "))


@pytest.mark.parametrize("columns", ["", "0", "wide", "-5", "1"])
def test_any_width_in_the_environment_is_taken(columns: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "zoo", "list"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": columns},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mobilenet_v2" in done.stdout
