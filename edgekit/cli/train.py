"""``edgekit train``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.common import (
    EXISTING,
    data_dir_option,
    emit,
    force_option,
    json_option,
    progress_bar,
    say,
    seed_option,
    set_option,
)
from edgekit.cli.tables import print_table
from edgekit.errors import CheckFailedError, InputError
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.spec import DEFAULT_PRESET
from edgekit.results import envelope

if TYPE_CHECKING:
    from edgekit.models.checkpoint import EpochRecord


@click.command("train")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Train, convert, evaluate and time every architecture of the zoo.")
@click.option(
    "--task",
    type=click.Choice(sorted({spec.task for spec in ZOO})),
    help="With --all: only architectures of this task.",
)
@click.option(
    "--preset",
    metavar="small|book|transfer",
    help="Training settings. [default: small; with --weights transfer, where the architecture has it]",
)
@click.option("--data", metavar="DATA", help="Data set to learn; the default is the preset's.")
@data_dir_option
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over what is learned.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Images, texts or windows of one step.")
@click.option("--alpha", type=float, help="Width multiplier, where the architecture has one.")
@click.option("--size", type=int, help="Side of the square input image, in pixels.")
@set_option
@click.option("--weights", type=EXISTING, metavar="FILE", help="Start from trained weights: .npz, .keras, .weights.h5.")
@click.option("--judge", type=EXISTING, metavar="RUN_DIR|FILE", help="The classifier that judges a trained generator.")
@click.option("--tensorboard", is_flag=True, help="Write logs for TensorBoard into RUN_DIR/tensorboard.")
@seed_option
@json_option
@force_option
@click.option("-o", "--output", type=EXISTING, required=True, metavar="RUN_DIR", help="Folder of the run.")
def command(
    name: str | None,
    every: bool,
    task: str | None,
    preset: str | None,
    data: str | None,
    data_dir: Path | None,
    epochs: int | None,
    batch_size: int | None,
    alpha: float | None,
    size: int | None,
    settings: tuple[str, ...],
    weights: Path | None,
    judge: Path | None,
    tensorboard: bool,
    seed: int,
    json_file: str | None,
    force: bool,
    output: Path,
) -> None:
    """Train an architecture of the zoo, and measure it on the test part of the data.

    RUN_DIR gets model.keras, history.json and settings.json. The same command goes on where a stopped run ended.
    Several machines train together where TF_CONFIG names them.
    """
    if every:
        others: dict[str, object] = {
            "NAME": name, "--data": data, "--batch-size": batch_size, "--alpha": alpha, "--size": size,
            "--set": settings or None, "--weights": weights, "--judge": judge, "--tensorboard": tensorboard or None,
        }  # fmt: skip
        _all(output, task, preset or DEFAULT_PRESET, data_dir, epochs, seed, force, json_file, others)
        return
    if task is not None:
        raise InputError(f"--task chooses among --all architectures; leave it out to train {name}.")
    if name is None:
        raise InputError("Name an architecture to train, or use --all; edgekit zoo list shows them.")
    from edgekit.models.cluster import read_cluster
    from edgekit.models.given import given_arguments
    from edgekit.models.listing import epoch_line, phase_words, train_entry, train_rows, written
    from edgekit.models.train import TrainRequest, train

    spec = find_spec(name)
    request = TrainRequest(
        spec=spec,
        preset=preset,
        data=data,
        data_dir=data_dir,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        weights=weights,
        judge=judge,
        arguments=given_arguments(spec, settings, {"alpha": alpha, "size": size}),
    )
    for sentence in phase_words(request.settings()):
        say(sentence)
    quiet = sys.stderr.isatty()  # the bar tells it there
    learned: list[int] = []

    def tell(record: "EpochRecord", epochs: int) -> None:
        learned.append(record.epoch)
        if not quiet:
            say(epoch_line(record, epochs))

    with progress_bar() as progress:
        model = train(
            request,
            output,
            tensorboard=tensorboard,
            force=force,
            progress=progress,
            on_epoch=tell,
            tell=say,
        )
    if not read_cluster().chief:
        say(f"Trained; the first worker writes {model}.")
        return
    entry = train_entry(model)
    if not learned:
        say(f"{output} holds this very training, finished; --force trains anew.")
    title = f"Wrote {written(model)}" if learned else written(model)
    emit(
        envelope("train", [entry]),
        json_file,
        lambda: print_table(title, ["of the model", "is"], train_rows(entry)),
    )


def _all(
    output: Path,
    task: str | None,
    preset: str,
    data_dir: Path | None,
    epochs: int | None,
    seed: int,
    force: bool,
    json_file: str | None,
    others: dict[str, object],
) -> None:
    from edgekit.measure.host import host_facts
    from edgekit.train_all import RESULTS, results_table, train_all

    for option, value in others.items():
        if value is not None:
            raise InputError(f"--all trains every architecture as its preset says; leave {option} out.")
    entries = train_all(
        ZOO, output, preset=preset, task=task, data_dir=data_dir, epochs=epochs, seed=seed, force=force, announce=say
    )
    say(f"Wrote {output / RESULTS}.")
    rows = [entry.row for entry in entries if entry.row is not None]
    emit(envelope("train all", rows, host=host_facts()), json_file, lambda: print_table(*results_table(rows)))
    failed = [f"{entry.name} ({entry.failure})" for entry in entries if entry.failure]
    if failed:
        raise CheckFailedError(f"{len(failed)} of {len(entries)} architectures failed: {'; '.join(failed)}")
