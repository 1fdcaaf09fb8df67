"""``edgekit demo generate``."""

from pathlib import Path
from typing import Any

import click

from edgekit.cli import common


@click.command()
@click.argument("file", type=common.EXISTING)
@click.option("--class", "asked", metavar="NAME", help="The class to make. [default: all in turn, along the columns]")
@click.option(
    "--grid", metavar="ROWSxCOLUMNS", help="How many pictures. [default: 4x10; a row for each swept category]"
)
@click.option("--sweep", is_flag=True, help="Change one code from end to end along the columns, and nothing else.")
@click.option("--code", type=click.IntRange(min=1), metavar="N", help="The code to sweep. [default: the first]")
@click.option("-o", "--output", type=common.EXISTING, metavar="FILE", help="The PNG to write.")
@common.engine_option
@common.threads_option
@common.seed_option
@common.force_option
@common.json_option
def generate(
    file: Path, output: Path | None, force: bool, threads: int | None, engine: str | None, **given: Any
) -> None:
    """Let a generator make pictures, and write them side by side as one PNG.

    The same seed gives the same picture from the same file.
    """
    from edgekit.demos.generate import Wish
    from edgekit.demos.generate import generate as make
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    json_file = given.pop("json_file")
    made = make(file, Wish(**given), output, force=force, threads=threads or 1, engine=engine)
    common.say(made.words())
    common.emit(envelope("demo generate", made.results(), host=host_facts()), json_file, lambda: None)
