"""``edgekit card``."""

import json
from pathlib import Path

import click

from edgekit.cli.common import EXISTING, emit, json_option, say


@click.group("card")
def command() -> None:
    """Show or attach a model's card: task, preprocessing, labels, provenance and measured figures."""


@command.command("show")
@click.argument("file", type=EXISTING)
@json_option
def show(file: Path, json_file: str | None) -> None:
    """Show the card inside FILE, or what can be read from a file without one."""
    from edgekit.artifact import open_artifact
    from edgekit.codec import to_jsonable

    artifact = open_artifact(file)
    card = to_jsonable(artifact.card)
    if artifact.foreign:
        say(f"{file} has no card; this was read from the model. Unknown: {', '.join(artifact.card.unknown())}.")
    emit(card, json_file, lambda: click.echo(json.dumps(card, indent=2, ensure_ascii=False)))


@command.command("attach")
@click.argument("file", type=EXISTING)
@click.argument("card", type=EXISTING)
def attach(file: Path, card: Path) -> None:
    """Write CARD (JSON) into FILE. A part of a card is enough: it replaces what is known of those keys.

    For instance: {"task": "classification", "labels": ["cat", "dog"]}
    """
    from edgekit.artifact import attach_card, merged_card, open_artifact

    artifact = attach_card(file, merged_card(open_artifact(file).card, card))
    unknown = artifact.card.unknown()
    say(f"{file} has the card now." + (f" Unknown: {', '.join(unknown)}." if unknown else ""))
