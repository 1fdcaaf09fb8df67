"""What the zoo's pages say of files that ran elsewhere: where one engine is all there is, and on an ARM core."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

ARM = "cortex-a72"


def files_of(row: Json) -> list[Any]:
    """All files of an entry in an engine's format, those of one pass of a Bayesian classifier last."""
    return [*row["files"], *pass_files(row)]


def pass_files(row: Json) -> list[Any]:
    """The files of one pass, in an engine's format."""
    return [file for file in row.get("passes", ()) if file["format"] != "keras"]


def same_there(file: Json) -> str:
    """How many answers of ``file`` are the same on ARM, or where it chooses nothing whether they are near enough."""
    there = file["elsewhere"][ARM]
    metrics = there["metrics"]
    bits = ", same bits" if metrics["identical"] else ""
    if "agreement" in metrics:
        return f"{_same(there):,} of {there['n']:,}{bits}"
    return f"{'within' if metrics['within_limits'] else 'beyond'} the limits{bits}"


def everywhere(results: Json) -> str:
    """What was found of all files."""
    files = [file for row in results["results"] for file in files_of(row)]
    custom = sorted({name for file in files for name in file["custom_operators"]})
    alone = sum(e["metrics"]["identical"] == 1 for f in files for name, e in f["elsewhere"].items() if name != ARM)
    there = [file["elsewhere"][ARM] for file in files]
    counted = [e for e in there if "agreement" in e["metrics"]]
    items, same = sum(e["n"] for e in counted), sum(map(_same, counted))
    bits = sum(e["metrics"]["identical"] == 1 for e in there)
    limited = [e["metrics"]["within_limits"] for e in there if "agreement" not in e["metrics"]]
    within = (
        f" Of {len(limited)} files that forecast, rate or make pictures {sum(limited):.0f} answer within the limits"
    )
    held = f"custom operators: {', '.join(custom)}" if custom else "no custom operator"
    return (
        f"The {len(files)} files hold {held}. With `[litert]` or `[onnx]` alone installed, {alone} of them give the "
        f"same bits as here. On an emulated Cortex-A72, the core of a Raspberry Pi 4, {same:,} of {items:,} items get "
        f"the same class, token, objects or decision, and {bits} files give the same bits."
        + (f"{within} of their recipe there." if limited else "")
    )


def _same(elsewhere: Json) -> int:
    return round(float(elsewhere["metrics"]["agreement"]) * int(elsewhere["n"]))
