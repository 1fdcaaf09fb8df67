"""``edgekit check`` and ``edgekit check init``."""

import shlex
from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.group("check", invoke_without_command=True)
@click.option(
    "--config",
    type=common.EXISTING,
    default=Path("edgekit.toml"),
    show_default=True,
    metavar="FILE",
    help="What to check.",
)
@click.option("--update", "renew", is_flag=True, help="Make what is measured now the baseline; needs --reason.")
@click.option("--reason", metavar="TEXT", help="Why the baseline changes; it is kept.")
@common.data_dir_option
@common.device_option
@common.json_option
@common.written_option("--junit", "junit_file", "Write the lines as JUnit's XML to FILE.")
@common.written_option("--markdown", "markdown_file", "Write the lines as a summary for GitHub to FILE.")
@click.pass_context
def command(
    context: click.Context,
    config: Path,
    renew: bool,
    reason: str | None,
    data_dir: Path | None,
    device: str,
    json_file: str | None,
    junit_file: str | None,
    markdown_file: str | None,
) -> None:
    """Did a model get worse since its baseline, by more than its budget and by more than chance?

    Each budget of each model is a line: pass, regress or improve. Exit code 1 when one regressed. Begin with: edgekit
    check init FILE... --data DATA
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    if renew != (reason is not None):
        raise click.UsageError("--update and --reason TEXT belong together: a new baseline keeps why it was made.")
    written = [Path(file).resolve() for file in (json_file, junit_file, markdown_file) if file is not None]
    if len(set(written)) < len(written):
        raise click.UsageError("--json, --junit and --markdown write files of their own; two of them name one file.")
    if "-" in (junit_file, markdown_file):
        raise click.UsageError("--junit and --markdown write files; standard output is for --json alone.")
    if reason is not None:
        if any((json_file, junit_file, markdown_file)):
            raise click.UsageError("--update judges nothing; leave out --json, --junit and --markdown.")
        _renew(config, reason, data_dir, device)
        return
    from edgekit.check import check, outputs, require_no_regression
    from edgekit.check.outputs import COLUMNS, marked, rows, title, to_json, to_junit, to_markdown
    from edgekit.errors import EdgekitError
    from edgekit.files import write_atomic

    try:
        with common.progress_bar() as progress:
            report = check(config, data_dir=data_dir, device=device, progress=progress)
    except EdgekitError as error:
        if json_file is not None:
            common.emit(outputs.broken_json(error), json_file, lambda: None)
        if junit_file is not None:
            write_atomic(Path(junit_file), outputs.broken_junit(error))
        if markdown_file is not None:
            write_atomic(Path(markdown_file), outputs.broken_markdown(error).encode())
        raise
    for note in report.notes:
        common.say(note)
    common.say_left_out(report.seen.left_out, len(report.seen.places) + report.seen.left_out)
    if junit_file is not None:
        write_atomic(Path(junit_file), to_junit(report))
    if markdown_file is not None:
        write_atomic(Path(markdown_file), to_markdown(report).encode())
    common.emit(
        to_json(report),
        json_file,
        lambda: print_table(title(report), list(COLUMNS), rows(report), marked=marked(report)),
    )
    require_no_regression(report)


@command.command("init")
@click.argument("files", nargs=-1, required=True, type=common.EXISTING, metavar="FILE...")
@click.option("--data", required=True, metavar="DATA", help="Labelled data: a known name, folder, .zip, .csv or .npz.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Check on N items. [default: all]")
@click.option(
    "--reference",
    type=common.EXISTING,
    metavar="FILE",
    help="Time the files against this one. [default: the first fp32 file, else the first]",
)
@click.option(
    "-o",
    "--output",
    type=common.EXISTING,
    default=Path(),
    metavar="DIR",
    help="Where edgekit.toml and baseline.json go. [default: here]",
)
@common.data_dir_option
@common.preprocess_option
@common.labels_option
@common.decoder_option
@common.threads_option
@common.device_option
@common.seed_option
@common.force_option
def start(
    files: tuple[Path, ...],
    data: str,
    samples: int | None,
    reference: Path | None,
    output: Path,
    data_dir: Path | None,
    preprocess: str | None,
    labels: Path | None,
    decoder: str | None,
    threads: int | None,
    device: str,
    seed: int,
    force: bool,
) -> None:
    """Measure FILE... and write edgekit.toml with budgets and baseline.json.

    Both belong under version control. The budgets are there to be changed; each has its explanation beside it.
    """
    from edgekit.check import init

    with common.progress_bar() as progress:
        made = init(
            files,
            data,
            output_dir=output,
            reference=reference,
            samples=samples,
            seed=seed,
            preprocess=preprocess,
            labels=labels,
            decoder=decoder,
            threads=threads or 1,
            data_dir=data_dir,
            force=force,
            device=device,
            progress=progress,
        )
    common.say_left_out(made.seen.left_out, len(made.seen.places) + made.seen.left_out)
    for note in made.notes:
        common.say(note)
    here = "" if made.config == Path("edgekit.toml") else f" --config {shlex.quote(str(made.config))}"
    here += "" if device == "local" else f" --device {shlex.quote(device)}"
    common.say(f"Wrote {made.config} and {made.baseline}. Check with: edgekit check{here}")


def _renew(config: Path, reason: str, data_dir: Path | None, device: str) -> None:
    from edgekit.check import update

    with common.progress_bar() as progress:
        made = update(config, reason=reason, data_dir=data_dir, device=device, progress=progress)
    for file, model in made.change.models.items():
        common.say(f"{file}: {made.metric.text(model.metric)}, {model.model_bytes:,} bytes")
    common.say(f"Recorded a new baseline: {made.change.reason}")
    for line in made.beyond:
        common.say(f"The next check will fail unless its budget in {config} is changed: {line.sentence()}")


def _refuse_options(context: click.Context) -> None:
    """Options of the check itself before ``init`` would have no effect."""
    from click.core import ParameterSource

    for option in context.command.params:
        if context.get_parameter_source(str(option.name)) is not ParameterSource.DEFAULT:
            has = any(option.opts[0] in own.opts for own in start.params)
            mend = "give it after init, or leave it out" if has else "leave it out"
            raise click.UsageError(f"{option.opts[0]} has no effect before init; {mend}.")
