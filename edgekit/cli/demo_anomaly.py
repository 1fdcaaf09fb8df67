"""``edgekit demo anomaly``."""

from pathlib import Path

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command()
@click.argument("file", type=common.EXISTING)
@click.argument("data")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Items to show.")
@click.option("--save", type=common.EXISTING, metavar="OUT.png", help="Draw precision over recall; needs labels.")
@common.data_dir_option
@common.threads_option
@common.engine_option
@common.force_option
@common.json_option
def anomaly(
    file: Path,
    data: str,
    top: int,
    save: Path | None,
    data_dir: Path | None,
    threads: int | None,
    engine: str | None,
    force: bool,
    json_file: str | None,
) -> None:
    """Tell the most anomalous items of DATA, and the columns in which they differ most from what is normal.

    DATA is a .csv with the columns of the model, a known name, or for a model of images an image, a folder or an .npz.
    Where it has labels, 0 for normal and 1 for an anomaly, the verdicts are judged by them.
    """
    from edgekit.demos.anomaly import find
    from edgekit.demos.forecast import require_picture
    from edgekit.demos.line_plot import png
    from edgekit.files import write_atomic
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    require_picture(save, force=force, option="--save")
    with common.progress_bar() as progress:
        found = find(
            file,
            data,
            top=top,
            drawn=save is not None,
            data_dir=data_dir,
            threads=threads or 1,
            engine=engine,
            progress=progress,
        )
    if save is not None:
        write_atomic(save, png(found.panels()))
        common.say(f"Wrote {save}.")
    common.say_left_out(found.left_out, len(found.scores) + found.left_out)

    def table() -> None:
        print_table(*found.table())
        for line in found.lines():
            click.echo(line)

    common.emit(envelope("demo anomaly", found.results(), host=host_facts()), json_file, table)
