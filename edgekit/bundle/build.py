"""Makes a bundle: opens the models, runs them on golden items, packs all of it, and lets the bundle verify itself."""

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edgekit
from edgekit.bundle import c_array
from edgekit.bundle.archive import FOLDER, json_bytes, npy, pack
from edgekit.bundle.entries import Made, Opened, make_entries, open_models
from edgekit.bundle.golden import Items, given_items, held_out_items, made_up_items
from edgekit.bundle.readme import readme
from edgekit.bundle.runner.manifest import MANIFEST, Entry, Manifest
from edgekit.bundle.shipped import sources
from edgekit.codec import to_jsonable
from edgekit.data import Dataset
from edgekit.detection import Head
from edgekit.errors import CheckFailedError, InputError
from edgekit.files import Staging, refuse_existing, require_writable
from edgekit.measure.data_for import data_for
from edgekit.measure.predict import input_sources, load_source
from edgekit.runtimes.probe import patience_s
from edgekit.workers import Progress, silent

SAMPLES = 8
"""Golden items, where nothing else is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReport:
    """A finished bundle at ``path``, which has verified itself on this machine."""

    path: Path
    bundle_bytes: int
    manifest: Manifest
    model_bytes: Mapping[str, int]
    verified: tuple[str, ...]

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each model."""
        return [
            {
                "artifact": entry.name,
                "format": entry.format,
                "recipe": entry.recipe,
                "engine": entry.engine,
                "kernels": entry.kernels,
                "n": entry.golden.count,
                "data": self.manifest.data,
                "bundle": str(self.path),
                "metrics": {"model_bytes": self.model_bytes[entry.name], "bundle_bytes": self.bundle_bytes},
            }
            for entry in self.manifest.entries
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        title = f"{self.path}, {self.bundle_bytes / 1e6:.2f} MB, golden data: {self.manifest.data}"
        rows = [
            [e.name, e.recipe, f"{e.engine} {e.kernels}".rstrip(), str(e.golden.count), _promise(e)]
            for e in self.manifest.entries
        ]
        return title, ["model", "recipe", "engine", "items", "on the device"], rows


def make_bundle(
    paths: Sequence[Path],
    output: Path,
    *,
    data: Dataset | str | None = None,
    inputs: Sequence[Path] = (),
    data_dir: Path | None = None,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    decoder: str | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    c_arrays: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> BundleReport:
    """Write the zip ``output`` with the model files at ``paths`` and golden data of ``data`` or ``inputs``.

    With neither, the golden inputs are seeded noise. With ``c_arrays`` TFLite files come as C arrays too, tried in
    tflite-micro where it is installed. `InputError` for what cannot be bundled, `CheckFailedError` where the bundle
    does not verify here; then nothing is written.
    """
    if data is not None and inputs:
        raise InputError("Golden items come from --data or from --inputs; got both: give one of them.")
    require_writable(output)
    refuse_existing([output], force=force)
    given = (*paths, *inputs, *([Path(data)] if isinstance(data, str) else []))
    if output.resolve() in {path.resolve() for path in given}:
        raise InputError(f"{output} is a file that the bundle is made of; write it elsewhere with -o.")
    models = open_models(paths, preprocess=preprocess, labels=labels, decoder=decoder)
    items = _items(models, data, inputs, data_dir, samples=samples, seed=seed)
    made: list[Made] = []
    for number, model in enumerate(models):
        progress("bundling", number, len(models))
        for each in make_entries(model, items, samples=samples, seed=seed):
            if each.entry.name not in {other.entry.name for other in made}:  # towers of two recipes share a head
                made.append(each)
    c_files, c_notes = c_array.make_all(made) if c_arrays else ({}, {})
    pictures = {f"golden/images/{number}.npy": npy(image) for number, image in enumerate(items.images)}
    manifest = Manifest(
        edgekit=edgekit.__version__,
        machine=platform.machine(),
        data=items.told,
        synthetic=items.synthetic,
        seed=seed,
        images=tuple(pictures),
        entries=tuple(each.entry for each in made),
        c_arrays=c_notes,
    )
    packed = pack(_files(manifest, made, {**pictures, **c_files}))
    with Staging(output.parent) as stage:
        (stage.path / output.name).write_bytes(packed)
        verified = self_verified(stage.path / output.name, patience_s(stage.path / output.name))
        stage.publish(output.name, force=force)
    progress("bundling", len(models), len(models))
    sizes = {each.entry.name: len(each.files[each.entry.file]) for each in made}
    return BundleReport(path=output, bundle_bytes=len(packed), manifest=manifest, model_bytes=sizes, verified=verified)


def self_verified(bundle: Path, limit_s: float) -> tuple[str, ...]:
    """What the bundle says of itself here, in a process that has not read edgekit; `CheckFailedError` if it says no."""
    command = [sys.executable, "-I", str(bundle), "verify"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise CheckFailedError(f"The bundle did not verify within {limit_s:.0f} s; nothing was written.") from None
    lines = tuple(done.stdout.splitlines())
    if done.returncode or lines[-1:] != ("verified",):
        refused = [line for line in lines if line.startswith("NO ")] or done.stderr.splitlines()[-1:] or ["no message"]
        raise CheckFailedError(f"The bundle does not verify on this machine, and nothing was written: {refused[0]}")
    return lines


def _items(
    models: Sequence[Opened],
    data: Dataset | str | None,
    inputs: Sequence[Path],
    data_dir: Path | None,
    *,
    samples: int,
    seed: int,
) -> Items:
    if data is not None:
        artifacts = [model.artifact for model in models]
        dataset = data_for([artifact.path for artifact in artifacts], data, data_dir=data_dir)
        return held_out_items(dataset, artifacts, samples=samples, seed=seed)
    if inputs:
        named = [source for given in inputs for source in input_sources(given, models[0].runtime.inputs)]
        return given_items([load_source(source) for _, source in named[:samples]])
    specs = [model.preprocessing for model in models if model.takes_images and model.preprocessing is not None]
    return made_up_items(specs, samples=samples, seed=seed)


def _files(manifest: Manifest, made: Sequence[Made], more: Mapping[str, bytes]) -> dict[str, bytes]:
    files = {**sources(), **more, MANIFEST: json_bytes(to_jsonable(manifest))}
    for each in made:
        files.update(each.files)
    for each in made:
        if each.entry.card.labels is not None:
            files[f"models/{each.entry.name}.labels.txt"] = "".join(f"{v}\n" for v in each.entry.card.labels).encode()
    files["README.txt"] = readme(manifest, FOLDER).encode()
    return files


def _promise(entry: Entry) -> str:
    if entry.exact:
        return "the same bits by the same kernels"
    if entry.card.detection is not None and entry.card.detection.head is Head.SSD_POSTPROCESS:
        return "the same objects"
    return f"{entry.limits.min_sqnr_db:g} dB or more"
