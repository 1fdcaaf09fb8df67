"""A machine that answers over SSH, such as a Raspberry Pi, through the OpenSSH client and its configuration."""

import re
import shutil
from urllib.parse import urlsplit

from edgekit.devices.linked import LinkedDevice
from edgekit.devices.pipe import PipeLink, start_words
from edgekit.errors import InputError, MissingExtraError

PYTHON = "python3"
CONNECT_S = 15
_USER = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]+(%[A-Za-z0-9]+)?")


class SSHDevice(LinkedDevice):
    """The device at ``ssh://[user@]host[:port]``; whatever the address leaves out is in ``~/.ssh/config``."""

    def __init__(self, uri: str) -> None:
        target = ssh_target(uri)
        if shutil.which("ssh") is None:
            raise MissingExtraError(
                "The OpenSSH client is not installed; install it, such as: apt install openssh-client"
            )
        command = ["ssh", *OPTIONS, *target, start_words(PYTHON)]
        super().__init__(
            uri, lambda: PipeLink(command, device=uri, explain=lambda told, code: explain(uri, told, code))
        )


OPTIONS = ("-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}", "-o", "ServerAliveInterval=5")


def ssh_target(uri: str) -> list[str]:
    """The words for ``ssh`` that name the machine at ``uri``; `InputError` for an address that is none."""
    wrong = InputError(
        f"{uri!r} is no address of a machine; expected ssh://host, ssh://user@host or ssh://user@host:port."
    )
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise wrong from None
    user, host = parts.username, parts.hostname
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.password
    if more or not host or not _HOST.fullmatch(host) or (user is not None and not _USER.fullmatch(user)):
        raise wrong
    return [*(["-p", str(port)] if port else []), *(["-l", user] if user else []), "--", host]


def explain(uri: str, told: str, code: int | None) -> str:
    """One sentence from what ``ssh`` said before it ended with ``code``."""
    last = (told.splitlines() or ["no message"])[-1]
    return f"{uri} was lost ({'still running' if code is None else f'exit code {code}'}): {last}."
