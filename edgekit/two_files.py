"""Models of two files: the first one's card names the second, which lies beside it."""

from dataclasses import replace
from pathlib import Path

from edgekit.card import ModelCard
from edgekit.companion import Companion
from edgekit.errors import InputError
from edgekit.files import sha256_file


def has_second_file(card: ModelCard) -> bool:
    """Whether the model of a first file's ``card`` has a second file."""
    return card.verification is not None or (card.detection is not None and card.detection.proposals is not None)


def second_file(first: Path, card: ModelCard) -> Path | None:
    """The second file of the model ``first`` with this ``card``, none of a model of one file.

    `InputError` where it is not there, or is another one.
    """
    if not has_second_file(card):
        return None
    kind, companion = "detector" if card.detection is not None else "model", companion_of(card)
    if companion is None:
        raise InputError(f"The card of {first} names no second file; train, build or convert the {kind} anew.")
    path = first.parent / companion.name
    if not path.is_file():
        raise InputError(f"{first} needs {companion.name} in the same folder; copy both files of the {kind}.")
    if sha256_file(path) != companion.sha256:
        raise InputError(f"{path} is not the file that {first} was made with; copy both files of one conversion.")
    return path


def companion_of(card: ModelCard) -> Companion | None:
    """What the ``card`` of a first file says of the second; none before the files are written, or for one file."""
    if card.verification is not None:
        return card.verification.head
    proposals = None if card.detection is None else card.detection.proposals
    return None if proposals is None else proposals.heads


def linked(card: ModelCard, companion: Companion) -> ModelCard:
    """The ``card`` of a first file, naming the second."""
    if card.verification is not None:
        return replace(card, verification=replace(card.verification, head=companion))
    assert card.detection is not None  # noqa: S101 - the card of one that has a second file
    assert card.detection.proposals is not None  # noqa: S101
    proposals = replace(card.detection.proposals, heads=companion)
    return replace(card, detection=replace(card.detection, proposals=proposals))
