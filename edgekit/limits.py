"""Limits that a user or a machine has set to this process, told before a library dies of them."""

import os
import sys

from edgekit.errors import InputError


def require_address_space(least_bytes: int, what: str) -> None:
    """`InputError` where ``ulimit -v`` leaves less than ``least_bytes``; ``what`` is what needs them.

    Native libraries do not raise an error when they find no room: they abort, or fail to be loaded in odd ways.
    """
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < least_bytes:
        raise InputError(
            f"Memory is limited to {limit / 1e6:.0f} MB of address space (ulimit -v); {what} needs "
            f"{least_bytes / 1e6:.0f} MB or more: raise the limit."
        )


def least_bytes() -> int:
    """What Python and numpy need, whose library for matrices takes a buffer for each CPU."""
    return (192 + 32 * (os.cpu_count() or 1)) << 20


TENSORFLOW_BYTES = 2000 << 20
"""TensorFlow running a small network; with less it aborts."""
TRAINING_BYTES = 4000 << 20
"""TensorFlow training a small network: where code finds no room, and not only tensors, it dies."""
