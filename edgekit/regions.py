"""Where a two-stage detector looks: what its card says of the regions that its last file is asked about."""

from dataclasses import dataclass

from edgekit.companion import Companion
from edgekit.errors import InputError

MOST_REGIONS = 5000
"""Of an image; the published detectors look at 2,000."""
MOST_CANDIDATES = 12_000
"""Ren et al. 2015 learn from so many (section 3.3); each region that is kept is compared with all of them."""
MOST_BINS = 64
MOST_SIDE = 1024
"""Of an image in which regions are searched: it takes half a gigabyte and many seconds."""
MOST_SCALES = 8
SCALES = (50.0, 100.0)
"""Of the segmentations that selective search groups where nothing else is said (Uijlings et al. 2013, section 5.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """Regions that the first file proposes (Ren et al. 2015, Faster R-CNN, sections 3.1 to 3.3).

    Its outputs are ``features`` (1, rows, columns, channels), and for every anchor ``objectness``, logits of nothing
    and something, and ``anchor_offsets``. Of the anchors moved by them, the best ``candidates`` are suppressed where
    they overlap a better one by more than ``iou_threshold``, and the best ``count`` of the rest are regions. Each
    becomes ``bins`` x ``bins`` places of the features, which ``heads`` turns into scores and offsets; none before the
    files are written.
    """

    bins: int = 7
    candidates: int = 6000
    iou_threshold: float = 0.7
    count: int = 300
    heads: Companion | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bins <= MOST_BINS:
            raise InputError(f"A region has {self.bins} bins a side; expected 1 to {MOST_BINS}.")
        if not (1 <= self.count <= MOST_REGIONS and self.count <= self.candidates <= MOST_CANDIDATES):
            raise InputError(
                f"A detector proposes {self.count} of {self.candidates} candidates; expected 1 to {MOST_REGIONS} of at "
                f"least as many, and at most {MOST_CANDIDATES}."
            )
        if not 0 <= self.iou_threshold <= 1:
            raise InputError(f"The iou_threshold of proposals is 0 to 1; got {self.iou_threshold:g}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Regions found by selective search (Uijlings et al. 2013) in the image, stretched to ``size_hw`` pixels.

    The file takes each as an image of its own, with ``context`` of that image's side around it, stretched (Girshick et
    al. 2014, R-CNN, appendix A). At most ``count`` are looked at; those of a shorter side than ``least_side``, a
    fraction of the image's, are not. ``scales`` are the k of the segmentations that are grouped.
    """

    size_hw: tuple[int, int]
    context: float = 16 / 227
    count: int = 2000
    least_side: float = 0.04
    scales: tuple[float, ...] = SCALES

    def __post_init__(self) -> None:
        if not all(16 <= side <= MOST_SIDE for side in self.size_hw):
            raise InputError(f"Regions are searched in 16 to {MOST_SIDE} pixels a side; got {self.size_hw}.")
        if not 0 <= self.context < 0.5:
            raise InputError(f"The context of a region is 0 to below 0.5 of its side; got {self.context:g}.")
        if not 1 <= self.count <= MOST_REGIONS:
            raise InputError(f"A search gives 1 to {MOST_REGIONS} regions; got {self.count}.")
        if not 0 <= self.least_side < 1:
            raise InputError(f"The least side of a region is 0 to below 1; got {self.least_side:g}.")
        if not 1 <= len(self.scales) <= MOST_SCALES or not all(0 < scale < float("inf") for scale in self.scales):
            raise InputError(f"A search has 1 to {MOST_SCALES} scales, numbers above 0; got {self.scales}.")
