"""The JSON that every measuring verb writes: the same envelope, whatever was measured."""

from collections.abc import Sequence
from typing import Any

SCHEMA_VERSION = 1


def envelope(command: str, results: Sequence[dict[str, Any]], *, host: dict[str, Any] | None = None) -> dict[str, Any]:
    """``{"schema_version", "command", "results", "host"}``; ``host`` is left out where nothing was measured."""
    data: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "command": command, "results": list(results)}
    if host is not None:
        data["host"] = host
    return data
