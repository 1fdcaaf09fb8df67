"""Claim: int8 files of `edgekit convert` are no worse than what the stock converters make of the same model.

    python benchmarks/int8_accuracy.py MODEL.keras DATA [--data-dir DIR]

200 items of DATA calibrate all of them (seed 0), the others are evaluated: `TFLiteConverter`; litert-quantizer and
ONNX Runtime's QDQ quantizer with minimum and maximum as ranges; and edgekit's default. MODEL must carry a card.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from saving import save

from edgekit.artifact import attach_card, open_artifact
from edgekit.converters import Request, convert
from edgekit.converters.calibration import write_calibration
from edgekit.converters.lower import load
from edgekit.converters.source import open_source
from edgekit.converters.workshop import Workshop
from edgekit.data import Part, open_data
from edgekit.measure.compare import compare
from edgekit.measure.evaluate import evaluate
from edgekit.recipe import AccuracyStep, Precision, Recipe
from edgekit.workers import silent


def stock_tflite(model: Path, request: Request, made: Path, target: Path) -> Path:
    """The file that `TFLiteConverter` makes, with the card of ``made``, so that the same items are held out."""
    source = open_source(model)
    recipe = Recipe(precision=Precision.INT8)
    with tempfile.TemporaryDirectory() as folder, Workshop(Path(folder), silent) as shop:
        loaded = load(source, shop)
        items = write_calibration(
            open_data(str(request.calibration), part=Part.CALIBRATION, data_dir=request.data_dir),
            loaded.inputs,
            open_artifact(made).card.preprocessing,
            count=recipe.calibration_samples,
            seed=recipe.seed,
            folder=Path(folder) / "samples",
            progress=silent,
        )
        settings = {"precision": "int8", "granularity": "per-channel", "interface": "int8", "batch": 1}
        shop.tensorflow("quantize_tflite", {**settings, "path": str(target), "samples": str(items.samples.folder)})
    return attach_card(target, open_artifact(made).card).path


def main() -> None:
    """Convert, evaluate and compare; the figures go to the results folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        files: dict[str, Path] = {}
        for name, steps in (("edgekit", tuple(AccuracyStep)), ("plain", ())):
            recipes = (Recipe(precision=Precision.INT8, steps=steps),)
            request = Request(
                source=given.model,
                recipes=recipes,
                calibration=given.data,
                data_dir=given.data_dir,
                output_dir=Path(made) / name,
            )
            for row in convert(request).artifacts:
                files[f"{row.format} {name}"] = row.path
        stock = Path(made) / "stock.tflite"
        files["TFLiteConverter"] = stock_tflite(given.model, request, files["tflite edgekit"], stock)
        paths = list(files.values())
        scores = evaluate([given.model, *paths], given.data, data_dir=given.data_dir)
        outputs = compare(given.model, paths, given.data, data_dir=given.data_dir)
        results = [{"name": given.model.name, **scores.results()[0]}]
        for name, score, output in zip(files, scores.results()[1:], outputs.results(), strict=True):
            results.append({"name": name, **score, "outputs": output["outputs"]})
            print(
                f"{name:16} top-1 {score['metrics']['top1']:.4f} agreement {score['metrics']['agreement']:.4f} "
                f"SQNR {output['metrics']['sqnr_db']:.2f} dB, {score['n']} items"
            )
    print(f"Written to {save(f'int8_accuracy_{given.model.stem}', results)}")


if __name__ == "__main__":
    main()
