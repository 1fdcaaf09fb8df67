"""Findings about installed packages, from their metadata alone."""

import re
from collections.abc import Mapping
from importlib.metadata import distributions

from edgekit.doctor.finding import Finding, Status

TENSORFLOW = ("tensorflow", "tensorflow-cpu")

# Extra: the distributions that it needs; of a tuple, any one. The lines of pyproject.toml, told without reading it.
EXTRAS: dict[str, tuple[str | tuple[str, ...], ...]] = {
    "litert": ("ai-edge-litert",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "tflite-runtime": ("tflite-runtime",),
    "camera": ("opencv-python-headless",),
    "gui": ("opencv-python",),
    "train": (TENSORFLOW, "keras", "scikit-learn", "pycocotools"),
    "convert": (
        *(TENSORFLOW, "keras", "scikit-learn", "pycocotools"),
        *("onnxruntime", "ai-edge-litert", "litert-quantizer", "onnx", "tf2onnx"),
    ),
    "eval": ("pycocotools",),
    "track": ("edgefirst-tracker",),
    "web": ("segno",),
    "regions": ("scikit-image",),
    "cluster": ("distributed",),
    "micro": ("tflite-micro",),
}  # fmt: skip
PINNED = {"tensorflow": "2.21", "tensorflow-cpu": "2.21", "keras": "3.15"}
"""What models are trained and converted with: other versions change results or fail."""

LITERT_PAIR = {"litert-quantizer": "0.11.0", "ai-edge-litert": "2.3.0"}
"""The quantizer works with exactly one engine."""


def installed_distributions() -> dict[str, str]:
    """Versions of all installed distributions by normalized name, without importing any."""
    named = ((d.metadata["Name"], d.version) for d in distributions())
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in named if name}


def check_shadow(versions: Mapping[str, str]) -> Finding:
    """Whether the unrelated distribution called edgekit has written over this package's files."""
    if "edgekit" not in versions:
        own = (
            f"edgekit-ml {versions['edgekit-ml']}" if "edgekit-ml" in versions else "run from its source, not installed"
        )
        return Finding(name="package", status=Status.OK, detail=own)
    return Finding(
        name="package",
        status=Status.BROKEN,
        detail=f"an unrelated project, edgekit {versions['edgekit']}, is installed over edgekit-ml",
        advice="Run: pip uninstall edgekit, then: pip install --force-reinstall --no-deps edgekit-ml",
    )


def check_pins(versions: Mapping[str, str]) -> list[Finding]:
    """Whether TensorFlow, Keras and the quantizer's pair are the versions that edgekit is made for."""
    findings = []
    for name, wanted in PINNED.items():
        if name in versions and not versions[name].startswith(f"{wanted}."):
            findings.append(
                Finding(
                    name=name,
                    status=Status.BROKEN,
                    detail=f"{versions[name]}; expected {wanted}",
                    advice="Run: pip install 'edgekit-ml[train]'",
                )
            )
    if "litert-quantizer" in versions:
        got = {name: versions.get(name, "none") for name in LITERT_PAIR}
        fits = got == LITERT_PAIR
        findings.append(
            Finding(
                name="litert pair",
                status=Status.OK if fits else Status.BROKEN,
                detail=_pair(got) if fits else f"{_pair(got)}; expected {_pair(LITERT_PAIR)}",
                advice=None if fits else "Run: pip install 'edgekit-ml[convert]'",
            )
        )
    return findings


def check_conflicts(versions: Mapping[str, str]) -> list[Finding]:
    """Packages that break each other: two OpenCV wheels, tflite-runtime with a new numpy."""
    findings = []
    wheels = sorted(name for name in versions if re.fullmatch(r"opencv(-contrib)?-python(-headless)?", name))
    if len(wheels) > 1:
        findings.append(
            Finding(
                name="opencv",
                status=Status.BROKEN,
                detail=f"{' and '.join(wheels)} are both installed and overwrite each other's files",
                advice=(
                    f"Run: pip uninstall {' '.join(wheels)}, then with a display: pip install 'edgekit-ml[gui]', "
                    "without one: pip install 'edgekit-ml[camera]'"
                ),
            )
        )
    if "tflite-runtime" in versions and not versions["numpy"].startswith("1."):
        findings.append(
            Finding(
                name="numpy",
                status=Status.BROKEN,
                detail=f"tflite-runtime does not work with numpy {versions['numpy']}",
                advice="Run: pip install 'numpy<2', or use edgekit-ml[litert] in its place",
            )
        )
    return findings


def check_extras(versions: Mapping[str, str]) -> list[Finding]:
    """Which extras are complete, and the line that completes the others."""
    findings = []
    for extra, needs in EXTRAS.items():
        missing = [n if isinstance(n, str) else n[0] for n in needs if not _present(n, versions)]
        findings.append(
            Finding(
                name=f"[{extra}]",
                status=Status.NOTE if missing else Status.OK,
                detail=f"without {', '.join(missing)}" if missing else "complete",
                advice=f"If needed: pip install 'edgekit-ml[{extra}]'"
                if missing and _advisable(extra, versions)
                else None,
            )
        )
    return findings


def _present(needed: str | tuple[str, ...], versions: Mapping[str, str]) -> bool:
    return any(name in versions for name in ((needed,) if isinstance(needed, str) else needed))


def _advisable(extra: str, versions: Mapping[str, str]) -> bool:
    """The two OpenCV extras exclude each other, and so do the two TFLite engines."""
    rivals = {
        "camera": "opencv-python",
        "gui": "opencv-python-headless",
        "tflite-runtime": "ai-edge-litert",
        "litert": "tflite-runtime",
    }
    return extra not in rivals or rivals[extra] not in versions


def _pair(versions: Mapping[str, str]) -> str:
    return " with ".join(f"{name} {version}" for name, version in versions.items())
