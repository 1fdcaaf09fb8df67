"""The command line as others rely on it: verbs, options, suggestions and exit codes."""

import pytest
from command import edgekit

from edgekit.cli import VERBS

EVERYWHERE = ("--json",)
OF_ALL_DEMOS = (
    *("--source", "--view", "--headless", "--host", "--port", "--save", "--max-frames"),
    *("--threads", "--engine", "--force", "--json"),
)
OF_DEMOS = (*OF_ALL_DEMOS, "--preprocess", "--labels")
OPTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("zoo",): (),
    ("zoo", "list"): EVERYWHERE,
    ("zoo", "show"): ("--alpha", "--size", "--classes", "--set", "--json"),
    ("zoo", "compare"): ("--plot", "--json", "--force"),
    ("zoo", "build"): ("--alpha", "--size", "--classes", "--set", "--weights", "--seed", "-o"),
    ("train",): (
        "--all",
        "--task",
        "--preset",
        "--data",
        "--data-dir",
        "--epochs",
        "--seed",
        "--set",
        "--weights",
        "--judge",
        "-o",
    ),
    ("convert",): (
        *("--int8", "-p", "-f", "--calibration", "--samples", "--preprocess", "--labels", "--data-dir", "--seed"),
        *("-o", "--force", "--json", "--portable", "--nms", "--rnn"),
    ),
    ("inspect",): EVERYWHERE,
    ("card",): (),
    ("card", "show"): (),
    ("card", "attach"): (),
    ("predict",): ("--text", "--preprocess", "--labels", "--passes", "--threads", "--engine", "--json"),
    ("evaluate",): (
        *("--data", "--data-dir", "--preprocess", "--labels", "--threads", "--engine", "--device", "--json"),
        *("--samples", "--decoder", "--judge", "--seed", "--ood", "--passes"),
    ),
    ("compare",): (
        *("--data", "--data-dir", "--preprocess", "--threads", "--engine", "--device", "--json", "--ood", "--passes"),
    ),
    ("benchmark",): (
        *("--device", "--threads", "--runs", "--warmup", "--min-secs", "--profile", "--seed", "--json"),
        *("--engine", "--best", "--max-loss", "--data", "--samples", "--mode", "--cool-down"),
    ),
    ("sweep",): (
        *("--device", "--threads", "--engine", "--mode", "--runs", "--warmup", "--min-secs", "--cool-down"),
        *("-p", "-f", "--calibration"),
        *("--data", "--samples", "--data-dir", "--preprocess", "--labels", "--scheduler", "-o", "--seed", "--json"),
    ),
    ("check",): ("--config", "--update", "--reason", "--data-dir", "--device", "--json", "--junit", "--markdown"),
    ("check", "init"): (
        *("--data", "--samples", "--reference", "-o", "--data-dir", "--preprocess", "--labels", "--decoder"),
        *("--threads", "--device", "--seed", "--force"),
    ),
    ("demo",): (),
    ("demo", "detect"): (*OF_DEMOS, "--decoder", "--score", "--track"),
    ("demo", "classify"): (*OF_DEMOS, "--top"),
    ("demo", "sentiment"): ("--threads", "--engine", "--json"),
    ("demo", "forecast"): ("--data", "-o", "--data-dir", "--threads", "--engine", "--json", "--force"),
    ("demo", "text"): (
        *("--prompt", "--length", "--temperature", "--top-k", "--seed", "--threads", "--engine", "--json"),
    ),
    ("demo", "verify"): (*OF_ALL_DEMOS, "--preprocess", "--threshold", "--top"),
    ("demo", "digits"): (*OF_ALL_DEMOS, "--score", "--track"),
    ("demo", "recommend"): ("--ratings", "--user", "--top", "--threads", "--engine", "--json"),
    ("demo", "generate"): (
        *("--class", "--grid", "--sweep", "--code", "--seed", "-o", "--engine", "--threads", "--force", "--json"),
    ),
    ("demo", "anomaly"): ("--top", "--save", "--data-dir", "--threads", "--engine", "--force", "--json"),
    ("bundle",): (
        *("-o", "--data", "--inputs", "--samples", "--c-array", "--data-dir", "--preprocess", "--labels", "--decoder"),
        *("--seed", "--force", "--json"),
    ),
    ("device",): (),
    ("device", "list"): EVERYWHERE,
    ("device", "add"): ("--python", "--force"),
    ("device", "remove"): (),
    ("device", "doctor"): EVERYWHERE,
    ("device", "provision"): ("--engine", "--offline", "--wheelhouse", "--json"),
    ("report",): ("-o", "--force"),
    ("doctor",): EVERYWHERE,
    ("quickstart",): ("-o", "--seed", "--force", "--json"),
}
"""The options of each verb that its users may count on."""


@pytest.mark.parametrize("verb", OPTIONS, ids=" ".join)
def test_help_lists_the_promised_options(verb: tuple[str, ...]) -> None:
    done = edgekit(*verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    words = done.stdout.replace(",", " ").split()
    assert [o for o in (*OPTIONS[verb], "--help") if o not in words] == []
    assert words[:3] == ["Usage:", "edgekit", verb[0]]


def test_every_verb_is_in_the_table() -> None:
    assert {verb[0] for verb in OPTIONS} == set(VERBS)


def test_the_root_lists_every_verb_with_its_help() -> None:
    done = edgekit("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name, (_, text) in VERBS.items():
        assert f"  {name} " in done.stdout
        assert text in done.stdout


def test_a_misspelt_verb_is_suggested() -> None:
    done = edgekit("benchmrk", "m.tflite")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "edgekit: There is no command 'benchmrk'; did you mean benchmark?"


def test_an_unlike_verb_lists_all() -> None:
    done = edgekit("xyzzy")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (f"edgekit: There is no command 'xyzzy'; choose one of: {', '.join(VERBS)}.")


@pytest.mark.parametrize("verb", VERBS)
def test_a_misspelt_option_is_refused(verb: str) -> None:
    done = edgekit(verb, "--jsn", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option" in done.stderr or "no such option" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_the_version_is_the_distributions() -> None:
    from edgekit import __version__

    assert edgekit("--version").stdout == f"edgekit, version {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [("demo", "text", "m", "--temperature"), ("demo", "detect", "m", "--score"), ("benchmark", "m", "--max-loss")],
)
def test_nan_is_in_no_range(command: tuple[str, ...]) -> None:
    done = edgekit(*command, "nan")
    assert done.returncode == 2
    assert "nan is not a finite number." in done.stderr
