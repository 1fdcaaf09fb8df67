"""Imported as `edgekit.converters`."""

if __name__ == "converters":
    raise ImportError("import edgekit.converters instead of converters")
