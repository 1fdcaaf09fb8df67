"""The fp32 file of a Keras model alone, with tensors called after its layers: what other files are compared with."""

import shutil
from pathlib import Path

from edgekit.artifact import Format
from edgekit.converters.accuracy.probe import PROBED_ITEMS
from edgekit.converters.calibration import write_calibration
from edgekit.converters.finish import base_card
from edgekit.converters.lower import load, lower
from edgekit.converters.prepare import name_layers, outline
from edgekit.converters.source import open_source
from edgekit.converters.workshop import Workshop
from edgekit.data.table_rows import rows_for
from edgekit.data.windows import cut_for
from edgekit.feeding import resolve_preprocessing
from edgekit.files import scratch_folder
from edgekit.measure.data_for import data_for
from edgekit.recipe import Batch
from edgekit.workers import Progress, silent


def write_float_file(
    model: Path,
    folder: Path,
    data: str,
    *,
    fmt: Format,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Path:
    """The path of the file in ``folder``; its layers are recognised by what they do on items of ``data``."""
    source = open_source(model)
    with scratch_folder() as scratch, Workshop(Path(scratch), progress) as shop:
        loaded = load(source, shop)
        card = base_card(source, loaded, preprocessing=None, labels=None)
        items = write_calibration(
            rows_for(cut_for(data_for([model], data, data_dir=data_dir), card.sequences), card.tabular),
            loaded.inputs,
            resolve_preprocessing(card, preprocess),
            count=PROBED_ITEMS,
            seed=seed,
            folder=Path(scratch) / "samples",
            progress=silent,
            card=card,
        )
        lowered = lower(source, fmt, Batch.STATIC, shop)
        named = name_layers(fmt, lowered, outline(source, items.samples, shop), shop)
        return Path(shutil.copy(named.lowered.path, folder / f"{source.name}.fp32.{fmt.value}"))
