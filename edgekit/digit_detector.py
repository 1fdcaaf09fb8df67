"""The detector of handwritten digits that the demo shows: trained on first use, and kept.

It stands above the layers that it joins, like the command line: nothing but the command line imports it.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from edgekit.claims import sole_use
from edgekit.codec import to_jsonable
from edgekit.errors import EdgekitError, InputError, require_installed
from edgekit.models.registry import find_spec

NAME, PRESET = "ssdlite_mobilenet_v2", "small"
FILE = f"{NAME}.int8.tflite"
_RUN = "run"

Announce = Callable[[str], None]


class NotMadeError(EdgekitError):
    """A step of the making failed, and told why."""


def digit_detector(announce: Announce, *, environment: Mapping[str, str] = os.environ) -> Path:
    """The int8 file of the detector, made in the cache where it has none yet; a stopped making goes on where it was."""
    folder = _cache(environment) / f"digits-{_settings_digest()}"
    made = folder / FILE
    if made.is_file():
        return made
    require_installed(("tensorflow", "keras", "sklearn", "pycocotools", "litert_quantizer"), extra="convert")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; name another cache in XDG_CACHE_HOME.") from None
    announce(f"Making the detector of digits in {folder}, this once; after Ctrl-C the next start goes on.")
    with sole_use(folder):
        run = str(folder / _RUN)
        _edgekit("train", NAME, "--preset", PRESET, "-o", run)
        data = str(find_spec(NAME).preset(PRESET).data)
        _edgekit("convert", run, "--int8", "--format", "tflite", "--calibration", data, "-o", str(folder))
    return made


def _cache(environment: Mapping[str, str]) -> Path:
    """edgekit's folder in the user's cache (XDG Base Directory Specification)."""
    home = environment.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "edgekit"


def _settings_digest() -> str:
    """Eight digits that change with whatever would make another detector."""
    settings = {"edgekit": version("edgekit-ml"), "preset": to_jsonable(find_spec(NAME).preset(PRESET))}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _edgekit(*arguments: str) -> None:
    """Run a verb in a process of its own, which tells of its progress by itself."""
    done = subprocess.run([sys.executable, "-m", "edgekit", *arguments], stdout=sys.stderr, check=False)
    if done.returncode:
        raise NotMadeError(f"The detector of digits could not be made: edgekit {arguments[0]} failed, as told above.")
