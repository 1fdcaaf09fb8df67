"""Starts a bundle: ``python3 -m bundle verify``, or ``python3 bundle.zip verify`` without unpacking it."""

import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def refuse(sentence: str) -> None:
    """End with exit code 2 and a sentence, as for all that the user can mend."""
    sys.stderr.write("bundle: " + sentence + "\n")
    sys.exit(2)


if sys.version_info < (3, 9):  # noqa: UP036 - a bundle meets older Pythons than edgekit does
    refuse("This bundle needs Python 3.9 or newer; got " + sys.version.split()[0] + ": run it with a newer python3.")
if sys.version_info < (3, 10) and not os.path.isdir(HERE):
    refuse("Python 3.9 runs a bundle that is unpacked; run: python3 -m zipfile -e bundle.zip . && python3 -m bundle")
if importlib.util.find_spec("numpy") is None:
    refuse("This bundle needs numpy, which this Python does not have; run: " + sys.executable + " -m pip install numpy")
sys.path.insert(0, os.path.join(HERE, "lib"))

from edgekit.bundle.runner.old_python import modernize  # noqa: E402

modernize()

from edgekit.bundle.runner.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(HERE))
