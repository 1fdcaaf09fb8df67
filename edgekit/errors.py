"""Every error that edgekit raises on purpose, and the helpers that word them.

A message is one sentence: what, got, expected, how to mend it. ``exit_code`` is what the command line returns.
"""

import difflib
import errno
import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from itertools import islice
from types import ModuleType

MACHINE_ERRORS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE),
        *(errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOMEM, errno.EAGAIN),
    }
)
"""What the machine refuses, whatever the program does: such an `OSError` is told in a sentence, any other is a bug."""

MOST_COMPARED, LONGEST_NAME = 20_000, 200
"""Names, and characters of each, that are compared with a misspelt one in under a second: they may be users."""


def printable(text: str) -> str:
    r"""``text`` in one line, in which what is no sign, such as a command for a terminal, is replaced.

    >>> printable("red\x1b[31m\nand blue")
    'red�[31m and blue'
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.splitlines()))


def cut(text: str, most: int = 60) -> str:
    """``text`` for a sentence, of no more than its first ``most`` characters.

    >>> cut("photo.jpg", 5)
    'photo…'
    """
    return text if len(text) <= most else text[:most] + "…"


def quoted(text: str, most: int = 60) -> str:
    r"""The `repr` of ``text`` for a sentence, of no more than its first ``most`` characters.

    >>> quoted("a\0b"), quoted("photo.jpg", 5)
    ("'a\\x00b'", "'photo…'")
    """
    return repr(cut(text, most))


def listed(names: Sequence[str], most: int = 40) -> str:
    """``names`` for a sentence, no more than the first ``most`` of them, each `cut`.

    >>> listed(["heat", "noise", "speed"], most=2)
    'heat, noise and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(cut, names[:most])) + more


class EdgekitError(Exception):
    """Base of all errors raised on purpose; a message of one sentence.

    What a damaged or hostile file brings into it, such as line breaks and commands for a terminal, becomes harmless.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class InputError(EdgekitError):
    """A path, value or combination given by the user cannot be used."""


class CardError(InputError):
    """A model card is malformed, or lacks what the work at hand needs."""


class ArtifactError(InputError):
    """A model file cannot be read, is damaged, or is of a kind that edgekit does not run."""


class DataError(InputError):
    """A data set cannot be read, or does not fit the model."""


class MissingExtraError(EdgekitError):
    """A package that an optional feature needs is not installed."""


class DeviceError(EdgekitError):
    """A device cannot be reached, refuses, or was lost in the midst of its work; the message names it."""


class ConversionError(EdgekitError):
    """A conversion step failed; the message names the step."""


class CheckFailedError(EdgekitError):
    """The work was done, and a check said no: a parity, budget or regression limit was exceeded."""

    exit_code = 1


def need(module: str, *, extra: str) -> ModuleType:
    """The imported ``module``, or a `MissingExtraError` with the pip line that installs it.

    Only the absence of that very package counts as missing: a broken installation raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise MissingExtraError(f"{root} is not installed. Run: pip install 'edgekit-ml[{extra}]'") from None


def require_installed(modules: Iterable[str], *, extra: str) -> None:
    """`MissingExtraError` for the first of ``modules`` (top-level names) that is not installed; none is imported."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"{module} is not installed. Run: pip install 'edgekit-ml[{extra}]'")


def suggest(name: str, known: Iterable[str]) -> str:
    """Words that end an error about a misspelt ``name``: the closest known names, else all of them.

    No name is close to a number.

    >>> suggest("mobilnet_v2", ["mobilenet_v1", "mobilenet_v2", "mlp"])
    'did you mean mobilenet_v2?'
    >>> suggest("x", ["fp32", "int8"])
    'choose one of: fp32, int8.'
    """
    names = list(known)
    close = closest(name, names)
    return f"did you mean {close}?" if close is not None else f"choose one of: {listed(names, most=100)}."


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt ``name`` is nearest to, if one is near, as `nearest` finds it; of numbers none."""
    found = [] if name.isdecimal() else nearest(name, known, 1)
    return found[0] if found else None


def nearest(name: str, known: Iterable[str], most: int) -> list[str]:
    """Up to ``most`` of the ``known`` names that ``name`` is near to: of the first 20,000, none of them long."""
    if len(name) > LONGEST_NAME:
        return []
    short = [other for other in islice(known, MOST_COMPARED) if len(other) <= LONGEST_NAME]
    return difflib.get_close_matches(name, short, n=most, cutoff=0.6)
