"""``edgekit demo recommend``."""

from pathlib import Path
from typing import Any

import click

from edgekit.cli import common
from edgekit.cli.tables import print_table


@click.command()
@click.argument("file", type=common.EXISTING)
@click.option(
    "--ratings", required=True, type=common.EXISTING, metavar="FILE.csv", help="Ratings of items by title or id."
)
@click.option("--user", metavar="NAME", help="Whose ratings, where the table has a column of users.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="Items to tell.")
@common.threads_option
@common.engine_option
@common.json_option
def recommend(file: Path, ratings: Path, threads: int | None, json_file: str | None, **given: Any) -> None:
    """Tell what somebody will like by a few ratings, the best first, with the rating to be expected.

    The table has the columns title (or item, or movieId) and rating, a row for each; a title may lack its year.
    """
    from edgekit.demos.recommend import recommend as best_for
    from edgekit.measure.host import host_facts
    from edgekit.results import envelope

    found = best_for(file, ratings, threads=threads or 1, **given)

    def table() -> None:
        if found.best:
            print_table(*found.table())
        click.echo(found.words())

    common.emit(envelope("demo recommend", found.results(), host=host_facts()), json_file, table)
