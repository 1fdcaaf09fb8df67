"""Imported as `edgekit.demos`."""

if __name__ == "demos":
    raise ImportError("import edgekit.demos instead of demos")
