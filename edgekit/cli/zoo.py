"""``edgekit zoo``."""

from pathlib import Path
from typing import Any

import click

from edgekit.cli.common import (
    EXISTING,
    emit,
    force_option,
    json_option,
    labels_option,
    progress_bar,
    say,
    seed_option,
    set_option,
)
from edgekit.cli.tables import print_table
from edgekit.models.given import given_arguments
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.spec import ModelSpec
from edgekit.results import envelope


def argument_options(command: Any) -> Any:
    """The builder's arguments: a training preset's, width, image size, number of classes, and any other."""
    for name, kind, text in (
        ("--preset", str, "Build what this preset trains: small, book, transfer. [default: what the source describes]"),
        ("--classes", int, "Number of classes."),
        ("--size", int, "Side of the square input image, in pixels."),
        ("--alpha", float, "Width multiplier, where the architecture has one."),
    ):
        command = click.option(name, type=kind, default=None, help=text)(command)
    return set_option(command)


def overrides(spec: ModelSpec, preset: str | None, settings: tuple[str, ...], **arguments: Any) -> dict[str, Any]:
    """The arguments of ``preset``, and those of ``settings`` and ``arguments`` that the user gave."""
    base = spec.preset(preset).arguments if preset is not None else {}
    return {**base, **given_arguments(spec, settings, arguments)}


@click.group("zoo")
def command() -> None:
    """List, show and build the architectures."""


@command.command("list")
@json_option
def list_(json_file: str | None) -> None:
    """List the architectures."""
    from edgekit.models.listing import list_entry

    rows = [[s.name, s.task, s.default_data or "", s.title] for s in ZOO]
    table = lambda: print_table("The zoo", ["name", "task", "data", "what"], rows)  # noqa: E731
    emit(envelope("zoo list", [list_entry(s) for s in ZOO]), json_file, table)


@command.command()
@click.argument("name")
@argument_options
@json_option
def show(
    name: str,
    preset: str | None,
    alpha: float | None,
    size: int | None,
    classes: int | None,
    settings: tuple[str, ...],
    json_file: str | None,
) -> None:
    """Show an architecture's figures beside the published ones."""
    from edgekit.models.listing import figure_rows, show_entry

    spec = find_spec(name)
    entry = show_entry(spec, overrides(spec, preset, settings, alpha=alpha, size=size, classes=classes))
    title = f"{spec.title}\n{spec.source}"
    emit(
        envelope("zoo show", [entry]),
        json_file,
        lambda: print_table(title, ["figure", "here", "published", "takes"], figure_rows(entry)),
    )


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--plot", type=EXISTING, metavar="FILE.html", help="Measure the variants here, and draw accuracy over latency."
)
@json_option
@force_option
def compare(names: tuple[str, ...], plot: Path | None, json_file: str | None, force: bool) -> None:
    """Put architectures side by side.

    Size and computation, activations between blocks, and the published variants of width and image size. With --plot
    each variant is converted and timed on this machine, which takes minutes.
    """
    from edgekit.files import refuse_existing, require_writable, write_atomic
    from edgekit.measure.host import host_facts
    from edgekit.models import comparison_table as tables
    from edgekit.models.comparison import compare_entries

    specs = [find_spec(name) for name in names]
    tables.require_comparable(specs, plotted=plot is not None)
    refuse_existing([plot] if plot else [], force=force, option="--plot")
    if plot is not None:
        require_writable(plot)
    results = {}
    with progress_bar() as progress:
        entries = compare_entries(specs, progress=progress)
        if plot is not None:
            from edgekit.zoo_latency import accuracy_over_latency, measure_variants

            results = measure_variants(specs, progress=progress)
    p50_ms = {key: result.latency_ms.p50 for key, result in results.items()}
    host = host_facts()
    if plot is not None:
        write_atomic(plot, accuracy_over_latency(specs, p50_ms, str(host["cpu"])).encode())

    def show() -> None:
        for table in (tables.size_table(entries), tables.activation_table(entries)):
            print_table(*table)
        if any(entry.variants for entry in entries):
            print_table(*tables.variant_table(entries, p50_ms))
        for sentence in tables.explanations(entries):
            click.echo(sentence)

    for (name, alpha, size), result in results.items():
        for flag in result.flags:
            say(f"Timing of {name} {alpha:g}-{size} not valid: {flag}")
    found = [tables.comparison_entry(entry, p50_ms) for entry in entries]
    emit(envelope("zoo compare", found, host=host if results else None), json_file, show)


@command.command()
@click.argument("name")
@argument_options
@click.option("--weights", type=EXISTING, metavar="FILE", help="Trained weights: .npz, .keras or .weights.h5.")
@labels_option
@seed_option
@json_option
@force_option
@click.option("-o", "--output", type=EXISTING, required=True, help="The .keras file to write.")
def build(
    name: str,
    preset: str | None,
    alpha: float | None,
    size: int | None,
    classes: int | None,
    settings: tuple[str, ...],
    weights: Path | None,
    labels: Path | None,
    seed: int,
    json_file: str | None,
    force: bool,
    output: Path,
) -> None:
    """Write an architecture as a .keras file with its card."""
    from edgekit.models.build import build_file
    from edgekit.models.listing import build_entry, build_rows, written

    spec = find_spec(name)
    artifact = build_file(
        spec,
        output,
        overrides=overrides(spec, preset, settings, alpha=alpha, size=size, classes=classes),
        resize=spec.preset(preset).resize if preset is not None else None,
        weights=weights,
        labels_file=labels,
        seed=seed,
        force=force,
    )
    entry = build_entry(artifact)
    emit(
        envelope("zoo build", [entry]),
        json_file,
        lambda: print_table(f"Wrote {written(output)}", ["of the model", "is"], build_rows(entry)),
    )
