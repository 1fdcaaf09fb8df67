"""Prints what litert-benchmark measures of a file: ``python litert_tool.py MODEL RUNS``, on any machine with LiteRT.

The tool of ai-edge-litert 2.3.0 loads a WebGPU library that was built for ARMv8.1, and dies with it on the older cores
of a Raspberry Pi 4 (SIGILL): it runs from a copy of the package without that library.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

package = importlib.util.find_spec("ai_edge_litert").submodule_search_locations[0]
model, runs = os.path.expanduser(sys.argv[1]), sys.argv[2]
with tempfile.TemporaryDirectory() as folder:
    place = os.path.join(folder, "ai_edge_litert")
    shutil.copytree(package, place, ignore=shutil.ignore_patterns("libLiteRt*Accelerator.so"))
    answer = os.path.join(folder, "answer.json")
    command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model", "--model", model]
    command += ["--num_runs", runs, "--num_threads", "1", "--result_json", answer]
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "PYTHONPATH": folder}, cwd=folder)
    with open(answer) as stream:
        sys.stdout.write(json.dumps(json.load(stream)["latency"]) + "\n")
