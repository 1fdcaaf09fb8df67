"""The page for people that lies in a bundle."""

from edgekit.bundle.runner.manifest import Manifest

_ENGINES = {
    "tflite": "pip install numpy ai-edge-litert        (or, where there is no wheel: tflite-runtime 'numpy<2')",
    "onnx": "pip install numpy onnxruntime",
}


def readme(manifest: Manifest, folder: str) -> str:
    """The text of ``README.txt``."""
    formats = sorted({entry.format for entry in manifest.entries}, reverse=True)
    models = "\n".join(
        f"  {e.name}\n    {e.card.task or 'task unknown'}, recipe {e.recipe}, made with {e.engine} {e.kernels}".rstrip()
        for e in manifest.entries
    )
    installs = "\n".join(f"  {_ENGINES[kind]}" for kind in formats)
    arrays = "\n".join(f"  {file}: {note}" for file, note in sorted(manifest.c_arrays.items()))
    verbs = [
        (True, "verify                 the same answers as at the desk? exit code 1 when not"),
        (True, "bench --json b.json    how fast?"),
        (any(e.classifies for e in manifest.entries), "predict photo.jpg      classes"),
        (
            any(e.card.detection is not None for e in manifest.entries),
            "detect 0               objects, in camera 0, a clip, a stream or a photo",
        ),
    ]
    run = "\n".join(f"  python3 -m {folder} {verb}" for can, verb in verbs if can)
    c_text = f"\nFor microcontrollers\n{arrays}\n" if arrays else ""
    return f"""Models with proof that they work here
=====================================
Made by edgekit {manifest.edgekit} on {manifest.machine}. It needs Python 3.9 or newer and nothing of edgekit.

Models
{models}

Install one engine for each kind of model; Pillow to use images, OpenCV for cameras and clips
{installs}
  pip install pillow opencv-python-headless

Run, beside the folder {folder} (or the zip itself: python3 {folder}.zip verify)
{run}
  sha256sum -c SHA256SUMS                inside {folder}: are all files whole?

Golden data: {manifest.data}. What comes from integers by the same version of the same kernels must have the same bits;
everything else stays within the limits that manifest.json states for each model.
{c_text}"""
