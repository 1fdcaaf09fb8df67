"""Bundles as a device has them: unpacked, run in a process of their own, damaged, and sealed again."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper


def unpack(bundle: Path, folder: Path) -> Path:
    """The bundle's own folder, unpacked below ``folder``."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    return folder / "bundle"


def run(bundle: Path, *arguments: object, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    """A zip, or an unpacked bundle, at work in a Python that knows nothing of this project but what is installed."""
    start = bundle if bundle.is_file() else bundle.parent
    command = [python, "-I", str(start), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def results(bundle: Path, *arguments: object) -> list[dict[str, Any]]:
    """The results of a verb as it writes them."""
    done = run(bundle, *arguments, "--json", "-")
    assert done.returncode in (0, 1), done.stderr
    return list(json.loads(done.stdout)["results"])


def seal(folder: Path) -> None:
    """Make the checksums those of the files as they are, as somebody could who changes a bundle with care."""
    names = [line.split("  ", 1)[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def change_manifest(folder: Path, change: Any) -> None:
    """Let ``change`` alter the manifest as JSON, and seal the bundle again."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    seal(folder)


def damage_layer(path: Path) -> None:
    """Twice the weights of the first convolution."""
    model = onnx.load(str(path))
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 2, weight.name))
    onnx.save(model, str(path))
