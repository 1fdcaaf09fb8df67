"""Runs a TFLite file in TensorFlow Lite for Microcontrollers, whose C++ can end the process it runs in."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import CheckFailedError, need
from edgekit.workers import Json, Progress, serve

_LEAST_ARENA, _ARENA_OF_MODEL = 16 << 20, 10


def _run(request: Json, _progress: Progress) -> Json:
    """Run ``model.tflite`` in the folder on ``input_N.npy``, write ``output_N.npy``; how much memory it took."""
    package: Any = need("tflite_micro", extra="micro")
    folder = Path(request["folder"])
    data = (folder / "model.tflite").read_bytes()
    inputs = [np.load(folder / f"input_{i}.npy", allow_pickle=False) for i in range(len(request["inputs"]))]
    arena = max(_LEAST_ARENA, _ARENA_OF_MODEL * len(data))
    rows: list[list[Any]] = []

    def work() -> Any:
        interpreter = package.runtime.Interpreter.from_bytes(data, arena_size=arena)
        for item in range(len(inputs[0])):
            interpreter.reset()
            for place, values in zip(request["inputs"], inputs, strict=True):
                interpreter.set_input(values[item : item + 1], place)
            interpreter.invoke()
            rows.append([np.array(interpreter.get_output(place)) for place in request["outputs"]])
        return interpreter

    interpreter, said = _listening(work)
    if interpreter is None:
        raise CheckFailedError(f"tflite-micro {package.__version__} does not run the model: {_reason(said)}.")
    for number in range(len(request["outputs"])):
        np.save(folder / f"output_{number}.npy", np.concatenate([row[number] for row in rows]))
    _, told = _listening(interpreter.print_allocations)
    used = re.search(r"Arena allocation total (\d+) bytes", told)
    return {"version": package.__version__, "arena_bytes": int(used[1]) if used else 0}


def _listening(work: Callable[[], Any]) -> tuple[Any, str]:
    """What ``work`` gives, None where it fails, and what was written to standard error meanwhile.

    The reasons are told nowhere else.
    """
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            result = work()
        except (RuntimeError, ValueError) as error:
            result, failed = None, f"\n{error}"
        else:
            failed = ""
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        sink.seek(0)
        return result, sink.read().decode(errors="replace") + failed


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else "it does not say why"


if __name__ == "__main__":
    serve({"run": _run})
