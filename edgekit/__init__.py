"""edgekit: from a trained network to one that is proven on the device."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.stream import Stream as Stream

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What is imported when it is first used, as importing edgekit loads nothing heavy."""
    if name == "Stream":
        from edgekit.stream import Stream

        return Stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
