"""How fast the variants of zoo entries run here, and the plot of their published accuracy over it.

It stands above the layers that it joins, like the command line: nothing but the command line imports it.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.artifact import Format
from edgekit.files import scratch_folder
from edgekit.measure.benchmark import benchmark
from edgekit.measure.settings import BenchmarkResult, BenchmarkSettings
from edgekit.models.comparison_table import Key, Latencies
from edgekit.recipe import Precision, Recipe
from edgekit.report.page import document
from edgekit.report.svg import Point, scatter, shape
from edgekit.workers import Progress, silent

if TYPE_CHECKING:
    from edgekit.models.spec import ModelSpec

SETTINGS = BenchmarkSettings(runs=30, warmup=5, min_duration_s=0.3, rounds=10)

_GROUPS = ("first", "second", "third")


def measure_variants(specs: "Sequence[ModelSpec]", *, progress: Progress = silent) -> dict[Key, BenchmarkResult]:
    """The timing of each published variant of ``specs``, as fp32 TFLite with one thread, all in turns.

    Their weights are untrained, on which the time does not depend.
    """
    from edgekit.converters import Request, convert
    from edgekit.models.build import build_file

    wanted = [(spec, variant) for spec in specs for variant in spec.published.variants]
    keys: dict[Path, Key] = {}
    with scratch_folder() as scratch:
        folder = Path(scratch) / "variants"  # as a conversion wants its folder for itself
        folder.mkdir()
        for done, (spec, variant) in enumerate(wanted):
            progress("converting", done, len(wanted))
            source = folder / f"{spec.name}_{variant.alpha:g}_{variant.size}.keras"
            build_file(spec, source, overrides={"alpha": variant.alpha, "size": variant.size})
            recipes = (Recipe(precision=Precision.FP32),)
            (made,) = convert(Request(source=source, recipes=recipes, formats=(Format.TFLITE,))).artifacts
            keys[made.path] = (spec.name, variant.alpha, variant.size)
            source.unlink()
        results = benchmark(list(keys), SETTINGS, progress=progress).results if keys else ()
    return {keys[result.timing.artifact.path]: result for result in results}


def accuracy_over_latency(specs: "Sequence[ModelSpec]", p50_ms: Latencies, cpu: str) -> str:
    """A page with the plot of published top-1 over the latencies measured on ``cpu``."""
    points = [
        Point(
            x=p50_ms[spec.name, variant.alpha, variant.size],
            y=100 * variant.top1,
            label=f"{variant.alpha:g}-{variant.size}",
            group=_group(index),
            tooltip=f"{spec.name} {variant.alpha:g}, {variant.size} pixels: {100 * variant.top1:.1f} %",
        )
        for index, spec in enumerate(specs)
        for variant in spec.published.variants
    ]
    title = " and ".join(spec.name for spec in specs)
    drawn = scatter(points, title=title, x_label="median latency, ms", y_label="ImageNet top-1, %")
    legend = "".join(
        f'<span><svg viewBox="0 0 16 16" class="key"><g class="mark {_group(i)}">{shape(_group(i), 8, 8)}</g></svg>'
        f"{escape(spec.name)}</span>"
        for i, spec in enumerate(specs)
    )
    note = (
        "Marks: width multiplier and image size. Accuracy: published by the authors. Latency: fp32 TFLite, one thread, "
        f"{cpu}."
    )
    return document(
        title,
        f'<h1>{escape(title)}</h1><figure>{drawn}</figure><p class="legend">{legend}<span>{escape(note)}</span></p>',
    )


def _group(index: int) -> str:
    return _GROUPS[index % len(_GROUPS)]
