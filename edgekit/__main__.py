"""The ``edgekit`` command, also as ``python -m edgekit``."""

import signal
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run the command line; an interruption while it is still being loaded is told in the same sentence."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from edgekit.cli import main
    except KeyboardInterrupt:
        sys.stderr.write("edgekit: interrupted; nothing unfinished was left behind.\n")
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
