"""A Python that has edgekit's base installation and one engine, as a device has, and nothing else."""

import contextlib
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from aarch64.places import Place

from edgekit.errors import CheckFailedError

_ROOT = Path(__file__).parents[1]
ABSENT = ("tensorflow", "keras", "onnx", "cv2", "sklearn")
"""What development needs and a device does not."""
_FIND = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"


@contextlib.contextmanager
def alone(extra: str) -> Iterator[Place]:
    """A new virtual environment with what ``edgekit-ml[extra]`` asks for; needs pip and its server."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *_requirements(extra)], check=True)
        found = subprocess.run(
            [python, "-c", _FIND, *ABSENT], check=True, capture_output=True, text=True
        ).stdout.split()
        if found:
            raise CheckFailedError(f"edgekit-ml[{extra}] brings {', '.join(found)}; expected the engine alone.")
        yield Place(name=f"[{extra}]", command=(python,), environment={"PYTHONPATH": str(_ROOT)})


def _requirements(extra: str) -> list[str]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"][extra]]
