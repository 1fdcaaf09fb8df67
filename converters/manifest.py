"""The record beside the files of a conversion, from which it can be repeated."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import Format
from edgekit.card import DataRef
from edgekit.codec import from_jsonable, to_jsonable
from edgekit.converters.report import Converted
from edgekit.errors import InputError
from edgekit.recipe import Recipe

MANIFEST_SCHEMA = 1
SUFFIX = ".manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked, with absolute paths."""

    source: str
    recipes: tuple[Recipe, ...]
    formats: tuple[Format, ...]
    calibration: str | None
    data_dir: str | None
    preprocess: str | None
    labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One file of the conversion."""

    file: str
    sha256: str
    format: Format
    recipe: str
    model_bytes: int
    engine: str
    metrics: Mapping[str, float]
    compared_on: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The settings of a conversion, what went in and what came out."""

    schema_version: int
    settings: Settings
    source_sha256: str
    calibration: DataRef | None
    tools: Mapping[str, str]
    artifacts: tuple[Made, ...]
    notes: tuple[str, ...]


def made(row: Converted) -> Made:
    """The manifest's line for a file of the report."""
    result: dict[str, Any] = row.to_result()
    return Made(
        file=row.path.name,
        sha256=row.sha256,
        format=row.format,
        recipe=row.recipe.code,
        model_bytes=row.model_bytes,
        engine=row.engine,
        metrics={name: float(value) for name, value in result["metrics"].items()},
        compared_on=row.parity.count,
    )


def dump_manifest(manifest: Manifest) -> bytes:
    """The manifest as JSON, the same bytes for the same content."""
    return (json.dumps(to_jsonable(manifest), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def load_manifest(path: Path) -> Manifest:
    """The manifest in ``path``; `InputError` when it is none."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the {SUFFIX} file of an earlier conversion.")
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a manifest of an earlier conversion: {error}.") from None
    manifest = from_jsonable(Manifest, data, where=str(path))
    if manifest.schema_version != MANIFEST_SCHEMA:
        raise InputError(
            f"{path} has schema version {manifest.schema_version}; this edgekit reads {MANIFEST_SCHEMA}: "
            "use the edgekit that wrote it."
        )
    return manifest
