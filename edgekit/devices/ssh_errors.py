"""What the OpenSSH client and a device's Python say when something fails, each as a sentence with what mends it."""

import re
import shlex
from collections.abc import Mapping, Sequence

Table = Mapping[str, str]
"""Pattern in what was said: the sentence, in which ``{name}`` is the device, ``{0}`` the first group of the pattern."""

CONNECTING: Table = {
    r"Could not resolve hostname": (
        "{name} is not known by that name here; look at its spelling, give its IP address, or name it in ~/.ssh/config."
    ),
    r"[Cc]onnection refused": (
        "{name} refuses the connection, so no SSH server listens there; start it on the device, such as: "
        "sudo systemctl enable --now ssh, or mend the port."
    ),
    r"[Tt]imed out|No route to host|unreachable|Host is down": (
        "{name} does not answer; see whether it is switched on, in the same network, and not behind a firewall."
    ),
    r"IDENTIFICATION HAS CHANGED": (
        "{name} shows another host key than the one that is known: it was set up anew, or another machine answers in "
        "its place; compare the fingerprints by hand, and only then forget the old one: ssh-keygen -R {known_as}"
    ),
    r"Host key verification failed|[Hh]ost key is known": (
        "The host key of {name} is not known here; connect once by hand, compare its fingerprint and accept it: "
        "{by_hand}"
    ),
    r"Permission denied|Too many authentication failures|No supported authentication": (
        "{name} lets this user in by no key; give it one: {copy_id}, or name the key in ~/.ssh/config."
    ),
    r"too long for Unix domain socket": (
        "The folder for temporary files has too long a name for a connection to {name}; set TMPDIR to a shorter one."
    ),
}
"""Of ``ssh`` itself, before anything was done over there."""

WORKING: Table = {
    r"edgekit: python (\S+) is too old": (
        "{name} has Python {0}; expected 3.9 or newer: install one there, and name it: "
        "edgekit device add NAME URI --python PATH"
    ),
    r"SyntaxError": (
        "{name} has a Python that is too old; expected 3.9 or newer: install one there, and name it: "
        "edgekit device add NAME URI --python PATH"
    ),
    r"No module named '?(numpy)\b": "{name} has Python but no numpy; run: edgekit device provision {name}",
    r"edgekit: cannot write to (.+): (?:No space left on device|Disk quota exceeded)": (
        "The disk of {name} is full; make room there, such as in {0}."
    ),
    r"No space left on device|Disk quota exceeded": "The disk of {name} is full; make room there.",
    r"edgekit: cannot write to (.+): (.+)": (
        "{name} cannot write to {0}: {1}; give its user rights there, or set XDG_CACHE_HOME on it to another folder."
    ),
    r"edgekit: the runner arrived damaged": "What was sent to {name} arrived damaged; try again.",
    r"edgekit: nothing was heard from the desk": (
        "{name} heard nothing of this machine for a minute, and ended its work; see whether the network holds."
    ),
}
"""Of what runs over there, whatever the exit code."""

CODES: Mapping[int, str] = {
    124: "The process on {name} worked for a day, which is as long as it may; ask for less at once.",
    126: "{name} cannot run {python}; name another interpreter: edgekit device add NAME URI --python PATH",
    127: (
        "{name} has no {python}; install it there, such as: sudo apt install python3, or name one: "
        "edgekit device add NAME URI --python PATH"
    ),
    132: "An engine on {name} uses what its CPU lacks; install one for it: edgekit device provision {name}",
    134: "An engine crashed on {name}; install another one: edgekit device provision {name}",
    139: "An engine crashed on {name}; install another one: edgekit device provision {name}",
    137: "The process on {name} was killed, most likely since memory ran out; close what else runs there.",
    255: "The connection to {name} was lost in the midst of work, and what ran there ends by itself; try again.",
}


def explain_connecting(name: str, target: Sequence[str], told: str, code: int, *, known_as: str | None = None) -> str:
    """Why there is no connection to ``name``, by what ``ssh`` said before it ended with ``code``.

    ``known_as`` is what its host key is kept under, the host of ``target`` where that is not known.
    """
    port, user, host = _parts(target)
    login = f"{user}@{host}" if user else host
    copy_id = shlex.join(["ssh-copy-id", *(["-p", port] if port else []), login])
    by_hand = shlex.join(["ssh", *(["-p", port] if port else []), login])
    facts = {"name": name, "known_as": shlex.quote(known_as or host), "copy_id": copy_id, "by_hand": by_hand}
    found = _first(CONNECTING, told, facts)
    return found or f"{name} cannot be reached: {_last(told)} (ssh ended with {code})."


def explain_working(name: str, python: str, told: str, code: int | None) -> str:
    """Why what ran on ``name`` in its interpreter ``python`` is lost, by what was said last and the exit code."""
    facts = {"name": name, "python": python}
    # What an engine printed before the connection was lost says nothing of that.
    found = _first(WORKING, told, facts) if code != 255 else None
    if found is None and code is not None and code in CODES:
        found = CODES[code].format(**facts)
    ended = "without an end" if code is None else f"with exit code {code}"
    return found or f"The process on {name} failed {ended}: {_last(told)}."


def _first(table: Table, told: str, facts: Mapping[str, str]) -> str | None:
    for pattern, sentence in table.items():
        match = re.search(pattern, told)
        if match is not None:
            return sentence.format(*match.groups(), **facts)
    return None


def _last(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no message"


def _parts(target: Sequence[str]) -> tuple[str | None, str | None, str]:
    """Port, user and host of the words that `edgekit.devices.openssh.ssh_target` gives."""
    options = dict(zip(target[:-2:2], target[1:-2:2], strict=True))
    return options.get("-p"), options.get("-l"), target[-1]
