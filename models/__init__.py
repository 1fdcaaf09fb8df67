"""Imported as `edgekit.models`."""

if __name__ == "models":
    raise ImportError("import edgekit.models instead of models")
