"""Addresses: of streams, how they are told without what nobody else should read, and of this machine."""

import ipaddress
import re
import socket

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "udp", "tcp", "srt")
"""What an address of a camera or stream begins with."""

_ADDRESS = re.compile(rf"\b({'|'.join(SCHEMES)})://(\S*)", re.IGNORECASE)
_PARTS = re.compile(r"([^/?#]*)([^?#]*)(.*)")


def is_stream_url(text: str) -> bool:
    """Whether ``text`` is the address of a stream.

    >>> is_stream_url("rtsp://10.0.0.7/live"), is_stream_url("clip.mp4")
    (True, False)
    """
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def without_secrets(text: str) -> str:
    """``text`` whose addresses name neither a user nor a password, nor what stands behind a question mark.

    >>> without_secrets("--source=rtsp://admin:secret@10.0.0.7:554/live?key=1")
    '--source=rtsp://10.0.0.7:554/live?...'
    >>> without_secrets("rtsp://admin:not/quoted@10.0.0.7/live")
    'rtsp://...'
    """
    return _ADDRESS.sub(lambda found: f"{found[1]}://{_public(found[2])}", text)


def _public(address: str) -> str:
    """What may be told of an address behind its scheme."""
    found = _PARTS.match(address)
    assert found is not None  # noqa: S101 - matches every text
    authority, path, rest = found.groups()
    if "@" in path + rest:  # perhaps a password with a slash in it: nobody can tell
        return "..."
    return f"{authority.rpartition('@')[2]}{path}{'?...' if rest else ''}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "pi.local")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reachable_name(host: str) -> str:
    """How others reach ``host``: for all addresses of this machine, that by which it reaches others."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737); nothing is sent
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
