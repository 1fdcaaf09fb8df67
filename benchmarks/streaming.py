"""Claim: a text generator of one time step loses at most 0.02 nats a token in int8, over texts of 1,000 steps.

    python benchmarks/streaming.py MODEL.keras BOOK.txt

MODEL is a causal text generator whose card has its vocabulary. It is calibrated on the first nine tenths of the book
and measured on texts of the last tenth, in every recipe of both formats; int8 also as ``--plain`` makes it, with all
states in int8, and with all arithmetic of the cells in float. It exits with 1 where int8 loses more.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from saving import Figure, save

from edgekit.artifact import open_artifact
from edgekit.converters import Request, convert
from edgekit.converters.one_cell import ARITHMETIC
from edgekit.data.base import Part
from edgekit.data.windows import long_data
from edgekit.recipe import Precision, Recipe, Rnn
from edgekit.runtimes import open_runtime
from edgekit.stream import stream_outputs
from edgekit.tasks.texts import token_ids

STEPS, TEXTS, FEW, LIMIT = 1000, 20, 4, 0.02
VARIANTS: dict[str, tuple[Recipe, ...]] = {
    "default": tuple(Recipe(precision=precision, rnn=Rnn.STEP) for precision in Precision),
    "all states int8": (Recipe(precision=Precision.INT8, steps=(), rnn=Rnn.STEP),),
    "cells in float": (Recipe(precision=Precision.INT8, keep_float=(ARITHMETIC,), rnn=Rnn.STEP),),
}


def nats(path: Path, texts: list[npt.NDArray[np.int32]]) -> npt.NDArray[np.float64]:
    """Mean loss of each of ``texts``."""
    runtime, told, found = open_runtime(path), open_artifact(path).card.sequences, []
    for ids in texts:
        logits = stream_outputs(runtime, [int(number) for number in ids[:-1]], sequences=told).astype(np.float64)
        top = logits.max(axis=1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        found.append((total - logits[np.arange(len(logits)), ids[1:]]).mean())
    return np.array(found)


def main() -> None:
    source, book = Path(sys.argv[1]), Path(sys.argv[2]).read_text(encoding="utf-8-sig")
    sequences = open_artifact(source).card.sequences
    if sequences is None or sequences.text is None:
        sys.exit(f"{source} has no vocabulary in its card.")
    data = long_data(book, Part.CALIBRATION, name=Path(sys.argv[2]).name)
    held_out = token_ids(str(long_data(book, Part.EVALUATION, name="held out").whole), sequences.text.vocabulary)
    starts = np.linspace(0, len(held_out) - STEPS - 1, TEXTS).astype(int)
    texts = [held_out[start : start + STEPS + 1] for start in starts]
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, recipes in VARIANTS.items():
            request = Request(
                source=source, recipes=recipes, calibration=data, output_dir=Path(folder) / name.replace(" ", "_")
            )
            for row in convert(request).artifacts:
                few = FEW if row.recipe.precision is Precision.INT16X8 else TEXTS
                found = nats(row.path, texts[:few])
                reference = found if not results else np.array(results[0]["nats"][:few])
                result = {
                    "file": row.path.name,
                    "variant": name,
                    "nats": found.tolist(),
                    "model_bytes": row.model_bytes,
                }
                results.append({**result, "loss": float((found - reference).mean())})
                print(f"{name:16} {row.path.name:40} {found.mean():.4f} {results[-1]['loss']:+.4f}", flush=True)
    losses = [row["loss"] for row in results if row["variant"] == "default" and ".int8." in row["file"]]
    held = max(losses) <= LIMIT
    save("streaming", results, [Figure(
        what=f"int8 of one time step, {source.stem}: nats a token lost over {TEXTS} texts of {STEPS} steps",
        value=" and ".join(f"{loss:.4f}" for loss in losses), limit=f"at most {LIMIT}", held=held,
    )])  # fmt: skip
    sys.exit(not held)


if __name__ == "__main__":
    main()
