"""Runs one model file on prepared inputs: ``python run_file.py MODEL INPUTS.npz OUTPUTS.npz``, on any machine.

INPUTS holds (count, ...) of each input by name; OUTPUTS gets the same of each output, as the file has it. One line of
JSON on standard output says what ran it. Needs edgekit's base installation and the engine.
"""

import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

from edgekit.runtimes import open_runtime


def main() -> None:
    """Run every item by itself on one thread."""
    model, inputs, outputs = map(Path, sys.argv[1:])
    with np.load(inputs, allow_pickle=False) as file:
        items = {name: file[name] for name in file.files}
    runtime = open_runtime(model)
    count = len(next(iter(items.values())))
    start = time.perf_counter()
    found = [runtime.run({name: values[i : i + 1] for name, values in items.items()}) for i in range(count)]
    seconds = time.perf_counter() - start
    np.savez(outputs, **{name: np.concatenate([f[name] for f in found]) for name in found[0]})
    facts = {
        "machine": platform.machine(),
        "engine": runtime.name,
        "version": runtime.version,
        "xnnpack": _delegated(model) if runtime.name == "litert" else None,
        "count": count,
        "seconds_per_item": seconds / count,
    }
    sys.stdout.write(json.dumps(facts) + "\n")


def _delegated(model: Path) -> bool:
    """Whether LiteRT hands operators of the file to XNNPACK here, which it may leave out without a word."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    # The only account of it; the message on standard error comes before the CPU is looked at.
    return any(operator["op_name"] == "DELEGATE" for operator in interpreter._get_ops_details())


if __name__ == "__main__":
    main()
