"""Starts a bundle: ``python3 -m bundle verify``, or ``python3 bundle.zip verify`` without unpacking it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

if sys.version_info < (3, 9):  # noqa: UP036 - a bundle meets older Pythons than edgekit does
    sys.exit("This bundle needs Python 3.9 or newer; got " + sys.version.split()[0] + ": run it with a newer python3.")
if sys.version_info < (3, 10) and not os.path.isdir(HERE):
    sys.exit("Python 3.9 runs a bundle that is unpacked; run: python3 -m zipfile -e bundle.zip . && python3 -m bundle")
sys.path.insert(0, os.path.join(HERE, "lib"))

from edgekit.bundle.runner.old_python import modernize  # noqa: E402

modernize()

from edgekit.bundle.runner.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(HERE))
