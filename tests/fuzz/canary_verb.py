"""``edgekit canary HOW FILE``: a command that crashes, hangs, stumbles or mumbles, to see that the campaign notices."""

import os
import time
from pathlib import Path

import click


@click.command("canary")
@click.argument("how", type=click.Choice(["crash", "hang", "traceback", "code", "mumble", "litter", "fine"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def command(ctx: click.Context, how: str, file: Path) -> None:
    """Go wrong."""
    match how:
        case "crash":
            os.abort()
        case "hang":
            time.sleep(600)
        case "traceback":
            raise ZeroDivisionError("a bug")
        case "code":
            ctx.exit(77)
        case "mumble":
            click.echo("Something is wrong.\nNobody knows what.", err=True)
            ctx.exit(2)
        case "litter":
            (file.parent / ".edgekit-left").write_text("x")
