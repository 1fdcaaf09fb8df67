"""Arguments of an entry as people write them."""

from pathlib import Path

import numpy as np
import pytest
from command import edgekit

from edgekit.artifact import open_artifact
from edgekit.errors import InputError
from edgekit.models.given import given_arguments
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.spec import Value


def test_every_argument_of_every_entry_can_be_set_to_its_default() -> None:
    for spec in ZOO:
        given = given_arguments(spec, [f"{name}={value}" for name, value in spec.defaults.items()])
        assert given == spec.defaults
        assert [type(value) for value in given.values()] == [type(value) for value in spec.defaults.values()]


def test_settings_and_options_come_together() -> None:
    given = given_arguments(find_spec("siamese"), ["loss=triplet", "units=1e2"], {"alpha": 1, "size": None})
    assert given == {"alpha": 1.0, "loss": "triplet", "units": 100}
    assert (type(given["alpha"]), type(given["units"])) == (float, int)


ARGUMENTS = "choose one of: size, channels, alpha, kernels, norm, momentum, units, loss."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["loss"], "--set takes NAME=VALUE, such as size=105; got 'loss'."),
        (["=3"], "--set takes NAME=VALUE, such as size=105; got '=3'."),
        (["los=triplet"], f"siamese takes no 'los' (did you mean loss?); {ARGUMENTS}"),
        (["corruption=zero"], f"siamese takes no 'corruption'; {ARGUMENTS}"),
        (["loss=tripet"], "siamese has no loss 'tripet'; did you mean triplet?"),
        (["loss="], "siamese has no loss ''; choose one of: logistic, contrastive, triplet."),
        (["units=many"], "siamese takes units 1 or more; got 'many'."),
        (["units="], "siamese takes units 1 or more; got ''."),
        (["units=0"], "siamese takes units 1 or more; got 0."),
        (["units=2.5"], "siamese takes units 1 or more, a whole number; got 2.5."),
        (["units=inf"], "siamese takes units 1 or more; got inf."),
        (["units=nan"], "siamese takes units 1 or more; got 'nan'."),
        (["momentum=2"], "siamese takes momentum 0 to 1; got 2."),
        (["units=3", "units=4"], "--set units=3 and --set units=4 give units twice; leave one out."),
        (["alpha=1"], "--alpha 0.5 and --set alpha=1 give alpha twice; leave one out."),
    ],
)
def test_what_cannot_be_set_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        given_arguments(find_spec("siamese"), settings, {"alpha": 0.5})
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [2.5, float("inf"), float("nan"), 10**400])
def test_a_value_that_is_no_whole_number_is_not_rounded(value: Value) -> None:
    with pytest.raises(InputError, match=r"^mlp takes units 1 or more"):
        find_spec("mlp").resolved({"units": value})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of `trained` with units and dropout that no option has, beside its data."""
    folder = tmp_path_factory.mktemp("given")
    labels = np.arange(60) % 2
    pixels = np.full((60, 28, 28), 20, np.uint8) + (120 * labels[:, None, None]).astype(np.uint8)
    pixels += np.random.default_rng(0).integers(0, 99, pixels.shape).astype(np.uint8)
    np.savez(folder / "bright.npz", x_train=pixels[:40], y_train=labels[:40], x_test=pixels[40:], y_test=labels[40:])
    done = trained(folder / "run", "--set", "units=8", "--set", "dropout=0.1", "--size", "14")
    assert done == ""
    return folder / "run"


def trained(folder: Path, *arguments: str) -> str:
    """The sentence with which a training into ``folder`` is refused, nothing where it ends well."""
    data = folder.parent / "bright.npz"
    done = edgekit("train", "mlp", "--data", data, "--epochs", "1", *arguments, "-o", folder)
    return "" if done.returncode == 0 else done.stderr


def test_a_training_is_of_the_arguments_that_were_set(run: Path) -> None:
    arguments = open_artifact(run).card.provenance.arguments
    assert arguments == {"classes": 2, "dropout": 0.1, "size": 14, "units": 8}


def test_a_run_goes_on_with_the_same_arguments_alone(run: Path) -> None:
    assert trained(run, "--set", "dropout=0.10", "--set", "size=14", "--set", "units=8.0") == ""
    assert trained(run, "--set", "units=9", "--set", "dropout=0.1", "--size", "14") == (
        f"edgekit: {run} holds a training with other settings (units 8, now 9): use --force to start again or -o to "
        "write elsewhere.\n"
    )


def test_what_the_data_decide_cannot_be_set_otherwise(run: Path) -> None:
    other, data = run.parent / "other", run.parent / "bright.npz"
    assert trained(other, "--set", "classes=3") == (
        f"edgekit: {data} decides classes of mlp, which is 2; got 3: leave classes out.\n"
    )
    assert not other.exists()
    assert trained(run, "--set", "classes=2", "--set", "units=8", "--set", "dropout=0.1", "--size", "14") == ""


def test_an_argument_may_be_a_limit_to_what_the_data_decide(tmp_path: Path) -> None:
    rows = [f"good word{i % 7},1\nbad term{i % 7},0\n" for i in range(30)]
    (tmp_path / "opinions.csv").write_text("text,label\n" + "".join(rows))
    done = edgekit(
        *("train", "bilstm_sentiment", "--data", tmp_path / "opinions.csv", "--epochs", "1", "--set", "tokens=100"),
        *("--set", "units=2", "--set", "embedding=2", "--set", "length=4", "-o", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    assert int(open_artifact(tmp_path / "run").card.provenance.arguments["tokens"]) < 30


def test_the_zoo_shows_and_builds_what_is_set(tmp_path: Path) -> None:
    done = edgekit("zoo", "show", "mlp", "--set", "units=8")
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert ["units", "8", "256", "1 or more"] in rows
    assert ["dropout", "0.45", "0.45", "0 to 0.95"] in rows
    done = edgekit("zoo", "build", "mlp", "--classes", "3", "--set", "units=8", "-o", tmp_path / "m.keras")
    assert done.returncode == 0, done.stderr
    card = open_artifact(tmp_path / "m.keras").card
    assert (card.provenance.arguments["units"], card.outputs[0].shape) == (8, (None, 3))
    done = edgekit("zoo", "build", "mlp", "--classes", "3", "--set", "classes=4", "-o", tmp_path / "n.keras")
    assert (done.returncode, done.stderr) == (
        2,
        "edgekit: --classes 3 and --set classes=4 give classes twice; leave one out.\n",
    )


def test_all_take_the_arguments_of_their_presets(tmp_path: Path) -> None:
    done = edgekit("train", "--all", "--set", "units=8", "-o", tmp_path / "runs")
    assert (done.returncode, done.stderr) == (
        2,
        "edgekit: --all trains every architecture as its preset says; leave --set out.\n",
    )
