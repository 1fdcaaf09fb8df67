"""The most memory that this process has held at once."""

import re
import sys
from pathlib import Path

from edgekit.measure.system import read_text


def peak_rss_bytes(root: Path = Path("/")) -> int | None:
    """Peak resident memory in bytes; None where the system does not tell.

    Linux: ``VmHWM``, which starts anew with the program; ``ru_maxrss`` keeps the starter's.
    """
    match = re.search(r"^VmHWM:\s*(\d+) kB", read_text(root / "proc/self/status") or "", re.MULTILINE)
    if match:
        return int(match[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
