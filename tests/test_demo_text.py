"""Texts that a model of one time step writes: the same for a seed, told as they come, and safe to show."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import edgekit as run

from edgekit.artifact import attach_card, open_artifact
from edgekit.demos.text import Manner, Writer, Written, harmless
from edgekit.errors import DataError, InputError
from edgekit.stream import Stream
from edgekit.tasks.sampling import sample


def write(path: Path, **manner: object) -> tuple[Written, list[str], list[str]]:
    """What was written, the pieces it came in, and what was told beside."""
    pieces: list[str] = []
    told: list[str] = []
    made = Manner(**{"length": 40, **manner})  # type: ignore[arg-type]
    return Writer(path).write(made, pieces.append, tell=told.append), pieces, told


def test_a_seed_gives_a_text(step_files: Path) -> None:
    path = step_files / "chars.step.fp32.tflite"
    first, pieces, told = write(path, prompt="bad cab", seed=3)
    assert pieces == ["bad cab", *first.text]
    assert (len(first.text), len(first.token_ms), told) == (40, 40, [])
    assert write(path, prompt="bad cab", seed=3)[0].text == first.text
    assert write(path, prompt="bad cab", seed=4)[0].text != first.text
    assert write(path, prompt="g", temperature=0)[0].text != write(path, prompt="a", temperature=0)[0].text
    assert write(step_files / "chars.step.fp32.onnx", prompt="bad cab", seed=3)[0].text == first.text


def test_temperature_0_takes_the_likeliest(step_files: Path) -> None:
    path = step_files / "chars.step.fp32.tflite"
    text = write(path, prompt="a", temperature=0, length=20)[0].text
    with Stream(path) as stream:
        logits, expected = stream.push("a"), ""
        for _ in range(20):
            expected += "\n abcdefg"[int(np.argmax(logits))]
            logits = stream.push(expected[-1])
    assert text == expected
    assert write(path, prompt="a", top_k=1, length=20, temperature=2)[0].text == expected


def test_an_empty_prompt_begins_a_line(step_files: Path) -> None:
    path = step_files / "chars.step.fp32.tflite"
    assert write(path)[0].text == write(path, prompt="\n")[0].text


def test_unknown_characters(step_files: Path, tmp_path: Path) -> None:
    path = step_files / "chars.step.fp32.tflite"
    with pytest.raises(DataError, match=r"^The model does not know 'x'; it knows '\\n abcdefg': leave it out\.$"):
        write(path, prompt="axe")
    lenient = tmp_path / "lenient.tflite"
    lenient.write_bytes(path.read_bytes())
    card = open_artifact(path).card
    assert card.sequences is not None
    assert card.sequences.text is not None
    known = replace(card.sequences.text.vocabulary, unknown=8, padding=7)
    attach_card(lenient, replace(card, sequences=_with_vocabulary(card.sequences, known)))
    written, _, told = write(lenient, prompt="axey", length=300, temperature=5)
    assert told == ["The model does not know 'x', 'y'; it reads its token for the unknown instead."]
    assert set(written.text) == set("\n abcde")  # f is padding and g the unknown now
    bare = replace(known, tokens=("0", "1", *known.tokens[2:]))
    attach_card(lenient, replace(card, sequences=_with_vocabulary(card.sequences, bare)))
    with pytest.raises(
        DataError, match=r"^The prompt has no token that the model could begin after; give --prompt a word or more\.$"
    ):
        write(lenient)
    attach_card(lenient, replace(card, task="text-classification"))
    with pytest.raises(InputError) as caught:
        Writer(lenient)
    assert str(caught.value) == (
        f"{lenient} does text-classification and writes no text; take a model of the task text-generation."
    )
    attach_card(lenient, replace(card, task=None, sequences=replace(card.sequences, text=None)))
    with pytest.raises(InputError) as caught:
        Writer(lenient)
    assert str(caught.value) == (
        f"{lenient} has no vocabulary in its card, so that its answers spell nothing; take a text generator that was "
        "trained by edgekit, or attach a card with a vocabulary."
    )


def _with_vocabulary(sequences: object, vocabulary: object) -> object:
    return replace(sequences, text=replace(sequences.text, vocabulary=vocabulary))  # type: ignore[attr-defined, type-var]


def test_commands_for_a_terminal_are_not_written() -> None:
    assert harmless("a\x1b[31mb\n\tc\r") == "a\ufffd[31mb\n\tc\ufffd"


def test_samples_follow_the_probabilities() -> None:
    generator, logits = np.random.default_rng(0), np.log([0.5, 0.25, 0.125, 0.125])

    def shares(**settings: object) -> list[float]:
        drawn = [sample(logits, generator, **settings) for _ in range(4000)]  # type: ignore[arg-type]
        return [float(share) for share in np.bincount(drawn, minlength=4) / 4000]

    np.testing.assert_allclose(shares(), [0.5, 0.25, 0.125, 0.125], atol=0.03)
    np.testing.assert_allclose(shares(temperature=0.5), np.array([16, 4, 1, 1]) / 22, atol=0.03)
    np.testing.assert_allclose(shares(top_k=2), [2 / 3, 1 / 3, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(never=(0, 3)), [0, 2 / 3, 1 / 3, 0], atol=0.03)
    assert sample(np.array([1.0, 5.0, 5.0]), generator, temperature=0) == 1
    assert sample(np.array([1000.0, -1000.0]), generator, temperature=1e-3) == 0
    with pytest.raises(
        DataError,
        match=r"^The model's logits hold NaN or infinity; expected finite numbers: convert the model again\.$",
    ):
        sample(np.array([1.0, np.nan]), generator)


@pytest.mark.filterwarnings("error")
def test_what_no_token_can_be_drawn_by_is_refused() -> None:
    generator, logits = np.random.default_rng(0), np.array([1.0, 5.0, 3.0])
    assert sample(logits, generator, temperature=1e-320) == 1
    assert sample(logits, generator, top_k=1, never=(1, 1, 1, 1)) == 2
    cases: list[tuple[dict[str, object], str]] = [
        ({"temperature": float("nan")}, "nan, top_k None and 0"),
        ({"temperature": float("inf")}, "inf, top_k None and 0"),
        ({"temperature": -1}, "-1, top_k None and 0"),
        ({"top_k": 0}, "1, top_k 0 and 0"),
        ({"top_k": -1}, "1, top_k -1 and 0"),
        ({"never": (0, 1, 2)}, "1, top_k None and 3"),
    ]
    for settings, got in cases:
        with pytest.raises(InputError) as caught:
            sample(logits, generator, **settings)  # type: ignore[arg-type]
        assert str(caught.value) == (
            f"A token is drawn at a temperature from 0 on, of one or more; got the temperature {got} of 3 tokens that "
            "may never come."
        )


def test_the_verb_writes_text_and_tells_how_fast(step_files: Path, tmp_path: Path) -> None:
    path, out = step_files / "chars.step.int8.tflite", tmp_path / "out.json"
    done = run("demo", "text", path, "--prompt", "a bad", "--length", "30", "--seed", "1", "--json", out)
    assert done.returncode == 0, done.stderr
    data = json.loads(out.read_text())
    (row,) = data["results"]
    assert done.stdout == "a bad" + row["text"] + "\n"
    assert (data["command"], row["n"], row["seed"], row["prompt"]) == ("demo text", 30, 1, "a bad")
    assert row["metrics"]["tokens_per_s"] > 0
    assert done.stderr.splitlines()[-1].startswith("30 tokens, ")
    assert done.stderr.splitlines()[-1].endswith(" ms a token")
    alone = run("demo", "text", path, "--prompt", "a bad", "--length", "30", "--seed", "1", "--json", "-")
    assert json.loads(alone.stdout)["results"][0]["text"] == row["text"]


def started(path: Path) -> "subprocess.Popen[str]":
    """The verb at work on a long text."""
    command = [sys.executable, "-m", "edgekit", "demo", "text", str(path), "--length", "100000000"]
    # Where SIGINT is ignored, as in a shell's background, it is so in children too.
    restore = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ), preexec_fn=restore
    )


def test_an_interrupt_leaves_the_text(step_files: Path) -> None:
    with started(step_files / "chars.step.fp32.tflite") as process:
        assert process.stdout is not None
        first = process.stdout.read(20)  # it comes while it is written
        process.send_signal(signal.SIGINT)
        rest, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(first) == 20
    assert rest.endswith("\n")
    assert "tokens/s" in told
    assert "Traceback" not in told


def test_a_reader_that_has_read_enough_ends_it_quietly(step_files: Path) -> None:
    with started(step_files / "chars.step.fp32.tflite") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(20)
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


def test_a_whole_sequence_file_is_refused_with_the_remedy() -> None:
    path = Path(__file__).parent / "golden" / "models" / "lstm.tflite"
    done = run("demo", "text", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"edgekit: {path} has no card that tells of states, and a stream needs a file of one time step: make one from "
        "a recurrent Keras model with edgekit convert MODEL.keras --rnn step.\n"
    )
