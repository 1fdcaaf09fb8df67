"""Timings and artefacts that were not measured, for what is said of them."""

from pathlib import Path

from edgekit.artifact import Artifact, Format
from edgekit.card import ModelCard, Provenance
from edgekit.measure.conditions import Conditions
from edgekit.measure.settings import Timing
from edgekit.recipe import Precision, Recipe

QUIET = Conditions(governor="performance", frequency_mhz=(1800.0,), temperature_c={}, throttled=(), load_1min=0.1)
HOST = {"emulated": False, "allowed_cpus": 2, "cores": 2}


def artifact(recipe: str | None = "int8", *, source: str | None = "a" * 64, model_bytes: int = 100) -> Artifact:
    card = ModelCard(
        name="m",
        inputs=(),
        outputs=(),
        provenance=Provenance(
            source_sha256=source, recipe=None if recipe is None else Recipe(precision=Precision(recipe))
        ),
    )
    return Artifact(
        path=Path(f"m.{recipe}.tflite"),
        format=Format.TFLITE,
        sha256="b" * 64,
        model_bytes=model_bytes,
        card=card,
        foreign=recipe is None,
    )


def timing(rounds_ms: list[list[float]], of: Artifact | None = None, *, threads: int = 1) -> Timing:
    return Timing(
        artifact=of or artifact(),
        threads=threads,
        device="local",
        runtime_name="litert",
        runtime_version="2.3.0",
        first_ms=9.0,
        init_ms=5.0,
        rounds_ms=tuple(tuple(r) for r in rounds_ms),
        runs=sum(len(r) for r in rounds_ms),
        peak_rss_bytes=1,
        base_rss_bytes=1,
    )
