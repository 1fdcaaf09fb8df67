"""Imported as `edgekit.converters`."""

if __name__ == "converters":
    raise ImportError("import edgekit.converters instead of converters")

from edgekit.converters.convert import convert
from edgekit.converters.report import ConversionReport, Converted, FloatOp, Parity
from edgekit.converters.request import Request

__all__ = ["ConversionReport", "Converted", "FloatOp", "Parity", "Request", "convert"]
