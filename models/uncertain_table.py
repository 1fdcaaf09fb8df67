"""What the zoo's pages say of Bayesian classifiers: the mean network beside one pass with noise, and its files."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgekit.models.everywhere_words import pass_files, same_there
from edgekit.models.spec import ModelSpec
from edgekit.report.words import percent

Json = Mapping[str, Any]

_KINDS = (("float", "keras", "source"), ("int8 TFLite", "tflite", "int8"), ("int8 ONNX", "onnx", "int8"))
"""What a column is called, and the format and recipe in it."""
_FIGURES = ("top-1, %", "NLL, nats", "calibration error", "entropy, nats", "OOD AUROC, % (95 % interval)")


def uncertain_table(specs: Sequence[ModelSpec], rows: Mapping[str, Json]) -> list[str]:
    """The section of ``specs`` in ``docs/zoo/README.md``."""
    columns = ["model", "network", "file", *_FIGURES]
    return [
        "### Classifiers that know when they do not know",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *(line for spec in specs for line in _lines(spec.name, rows[spec.name])),
        "",
        "- **Passes** draw noise by the card and average probabilities; *mean* is the network of mean weights, or",
        "  without dropout, which runs once.",
        "- **Entropy** is the mean predictive one. **OOD AUROC** tells how well it separates "
        + " and ".join(sorted({spec.preset("small").ood or "" for spec in specs}))
        + ", of which nothing was",
        "  learned, from the held-out items.",
        "",
    ]


def pass_table(row: Json) -> list[str]:
    """The files of one pass on the page of an entry, nothing where it has none."""
    if "passes" not in row:
        return []
    columns = ["file", *_FIGURES, "bytes", "ratio", "p50 of a pass, ms", "same on Cortex-A72"]
    (model,) = (told for told in row["passes"] if told["format"] == "keras")
    lines = [f"| {model['artifact']} | {_figures(model['metrics'])} | | | | |"]
    for file in pass_files(row):
        doubt = "" if file["valid"] else " ?"
        lines.append(
            f"| {file['artifact']} | {_figures(file['metrics'])} | {file['model_bytes']:,} | {file['ratio']:.2f} | "
            f"{file['p50_ms']:.3f}{doubt} | {same_there(file)} |"
        )
    return [
        "## In passes",
        "",
        f"The network of one pass, with noise as an input, on {model['n']:,} held-out items, {model['passes']} passes:",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *lines,
        "",
    ]


def _lines(name: str, row: Json) -> Iterable[str]:
    mean = {(file["format"], file["recipe"]): file for file in row["files"]}
    mean[row["format"], row["recipe"]] = row["metrics"]
    passes = {(file["format"], file["recipe"]): file["metrics"] for file in row["passes"]}
    count = row["passes"][0]["passes"]
    for network, found in (("mean", mean), (f"{count} passes", passes)):
        for title, fmt, recipe in _KINDS:
            yield f"| [{name}]({name}.md) | {network} | {title} | {_figures(found[fmt, recipe])} |"


def _figures(metrics: Json) -> str:
    low, high = (percent(metrics[f"ood_auroc_{end}"]) for end in ("low", "high"))
    cells = [
        percent(metrics["top1"]),
        *(f"{metrics[name]:.3f}" for name in ("nll", "ece", "entropy")),
        f"{percent(metrics['ood_auroc'])} ({low}–{high})",
    ]
    return " | ".join(cells)
