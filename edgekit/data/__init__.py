"""Readers of data sets. They give decoded items; what a model makes of them is `edgekit.feeding`'s work."""

from edgekit.data.base import Boxes, Dataset, Item, Items, Part, data_ref, draw, item_digest
from edgekit.data.known import KNOWN, KnownSet
from edgekit.data.reading import open_data

__all__ = [
    "KNOWN",
    "Boxes",
    "Dataset",
    "Item",
    "Items",
    "KnownSet",
    "Part",
    "data_ref",
    "draw",
    "item_digest",
    "open_data",
]
