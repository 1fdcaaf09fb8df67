"""The newest operator set and IR version that each ONNX Runtime takes.

Measured by ``benchmarks/onnx_versions.py`` with operator sets 10 to 30 and IR versions 4 to 16, on x86-64 Linux.
"""

Version = tuple[int, int]

ONNX_RUNTIME: dict[Version, tuple[int, int]] = {
    (1, 16): (19, 9),
    (1, 17): (20, 9),
    (1, 18): (21, 10),
    (1, 19): (21, 10),
    (1, 20): (21, 10),
    (1, 21): (22, 10),
    (1, 22): (22, 10),
    (1, 23): (23, 11),
    (1, 24): (25, 13),
    (1, 25): (26, 13),
    (1, 32): (28, 14),
}
"""Operator set and IR version by version; one between two of these takes what the older of them takes (1.31 does)."""
