"""``edgekit doctor``."""

from pathlib import Path

import click

from edgekit.cli.common import data_dir_option, emit, json_option


@click.command("doctor")
@data_dir_option
@json_option
@click.pass_context
def command(ctx: click.Context, data_dir: Path | None, json_file: str | None) -> None:
    """Check this installation and machine: what works, what is missing, and the line that mends it.

    Nothing is installed or changed. The exit code is 1 when something is broken.
    """
    from edgekit.codec import to_jsonable
    from edgekit.doctor import examine, lines
    from edgekit.results import envelope

    found = examine(data_dir=data_dir)

    data = envelope("doctor", [to_jsonable(f) for f in found.findings], host=dict(found.host))
    emit({**data, "healthy": found.healthy}, json_file, lambda: click.echo("\n".join(lines(found))))
    ctx.exit(0 if found.healthy else 1)
