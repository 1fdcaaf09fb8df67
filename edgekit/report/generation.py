"""What an evaluation says of the pictures of a generator's file, read with checks."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.report.read import Fields

_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_SHEET = 8 << 20  # characters

FIGURES = (
    *("frechet", "frechet_change", "precision", "recall", "conditional_accuracy", "conditional_accuracy_low"),
    *("conditional_accuracy_high", "purity", "purity_matched", "psnr_db", "ssim"),
)
"""What may be told of a file; its Frechet distance always is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The ``figures`` of ``count`` pictures beside real ones of ``data``, before the judge with the digest ``judge``.

    ``sheet`` is a PNG of some of them, in base64; the judge and the sheet are none where they were not told.
    """

    figures: Mapping[str, float]
    count: int
    data: str
    judge: str | None
    judge_top1: float | None
    sheet: str | None

    @property
    def setting(self) -> tuple[str, str | None, int]:
        """What must be the same for figures to be compared."""
        return self.data, self.judge, self.count


def read_generation(fields: "Fields") -> Generation:
    """What an entry of an evaluation, whose metrics hold a Frechet distance, tells of a generator."""
    metrics = fields.inner("metrics")
    judge = fields.inner("judge") if fields.has("judge") else None
    device = fields.text("device") if fields.has("device") else "local"
    return Generation(
        figures={name: metrics.number(name) for name in FIGURES if metrics.has(name)},
        count=int(fields.number("n")),
        data=fields.text("data") + ("" if device == "local" else f" on {device}"),
        judge=None if judge is None else judge.text("sha256"),
        judge_top1=judge.number("top1") if judge is not None and judge.has("top1") else None,
        sheet=_sheet(fields) if fields.has("sheet_png") else None,
    )


def _sheet(fields: "Fields") -> str:
    text = fields.text("sheet_png")
    try:
        data = base64.b64decode(text, validate=True) if len(text) <= _MOST_SHEET else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data.startswith(_PNG):
        raise InputError(f"{fields.path} has a sheet_png that is no PNG in base64; write it again with edgekit --json.")
    return text
