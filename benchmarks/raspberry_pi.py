"""Claim: over SSH, on a Raspberry Pi 4, files answer as here, and `edgekit benchmark` times as litert-benchmark does.

    python benchmarks/raspberry_pi.py [--items N] [--device ssh://...]

The ImageNet MobileNets of the zoo, with the weights in EDGEKIT_DATA, become int8 TFLite, int8 ONNX and portable ONNX
files; each answers N held-out photos here and there. Then both tools time the int8 TFLite files there, in turns. Where
no device is named it is the emulated Pi of `make pi`, whose times say nothing but what they are to each other.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from aarch64.pi import pi
from aarch64.pi_board import HOST
from material import held_out_inputs, mobilenets
from same_answers import forms
from saving import Figure, save

from edgekit.artifact import open_artifact
from edgekit.codec import to_jsonable
from edgekit.data import Part, open_data
from edgekit.devices.ssh import SSHDevice
from edgekit.errors import CheckFailedError, EdgekitError
from edgekit.measure.benchmark import judge
from edgekit.measure.same import same_answers
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.measure.stats import Ratio, median_ratio
from edgekit.runtimes import Array, Runtime, open_runtime
from edgekit.workers import silent

LEAST_AGREEMENT = 0.97
"""Of the ordinary int8 ONNX file, whose rounding depends on the CPU's instructions."""
LIMIT = 0.10
"""Between the two tools: processes on an emulated CPU differ more than on a real one."""
ROUNDS, RUNS = 9, 20
_TOOL = (Path(__file__).parent / "aarch64/litert_tool.py").read_text()


@contextlib.contextmanager
def emulated() -> Iterator[str]:
    """The address of an emulated Pi, which the first ``ssh`` in PATH knows."""
    with pi(with_engines=True) as board, tempfile.TemporaryDirectory() as folder:
        client = Path(folder) / "ssh"
        client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {shlex.quote(str(board.ssh_config))} "$@"\n')
        client.chmod(0o755)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        yield f"ssh://{HOST}"


def answers(runtime: Runtime, items: dict[str, Array]) -> dict[str, Array]:
    """The outputs of ``items``, (count, ...) of each input, one item at a time."""
    count = len(next(iter(items.values())))
    found = [runtime.run({name: values[i : i + 1] for name, values in items.items()}) for i in range(count)]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def compared(device: SSHDevice, network: str, name: str, path: Path, items: dict[str, Array]) -> dict[str, Any]:
    """How the answers of a file there differ from those here, and what ran it."""
    there = device.open(open_artifact(path))
    start = time.perf_counter()
    found = answers(there, items)
    seconds = time.perf_counter() - start
    if there.delegation is not None and not there.delegation.operators:
        raise CheckFailedError(
            f"XNNPACK did not run {path.name} there, so that its answers are those of other kernels."
        )
    same = same_answers(answers(open_runtime(path), items), found)
    print(
        f"{network} {name:19} {'identical' if same.identical else 'DIFFERS':9} {same.differing} of {same.count} photos "
        f"differ, max {same.totals.max_abs:.3g}, agreement {same.agreement:.3f}, {seconds / same.count:.2f} s a photo",
        flush=True,
    )
    by = f"{there.name} {there.version}"
    return {"network": network, "name": name, "metrics": same.metrics(), "n": same.count, "engine": by}


def theirs(device: SSHDevice, path: Path) -> float:
    """The median of litert-benchmark on the device, ms."""
    place = f"~/.cache/edgekit/files/{open_artifact(path).sha256}"
    command = device.connection.command(device.connection.python, "-c", _TOOL, place, str(RUNS))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckFailedError(f"litert-benchmark ended with code {done.returncode}: {done.stderr.splitlines()[-1]}")
    return float(json.loads(done.stdout)["median_ms"])


def ours(device: SSHDevice, path: Path) -> float:
    """The p50 of `edgekit benchmark` on the device, ms."""
    settings = BenchmarkSettings(runs=RUNS, min_duration_s=0, rounds=1)
    run = device.measure([Job(artifact=open_artifact(path))], settings, progress=silent)
    (result,) = judge(run, settings)
    return result.latency_ms.p50


def side_by_side(device: SSHDevice, network: str, path: Path) -> tuple[dict[str, Any], Ratio]:
    """Both tools on one file in turns."""
    tools: dict[str, Callable[[SSHDevice, Path], float]] = {"edgekit": ours, "litert-benchmark": theirs}
    medians_ms: dict[str, list[float]] = {name: [] for name in tools}
    order = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in order.permutation(list(tools)):
            medians_ms[name].append(tools[name](device, path))
    ratios = np.divide(medians_ms["edgekit"], medians_ms["litert-benchmark"])
    ratio = median_ratio([[r] for r in ratios], [[1.0]] * ROUNDS, seed=0)
    told = ", ".join(f"{name} {np.median(values):.1f} ms" for name, values in medians_ms.items())
    print(
        f"{network}: {told}, ratio {ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}), {ROUNDS} rounds", flush=True
    )
    return {"network": network, "artifact": path.name, "medians_ms": medians_ms, "ratio": to_jsonable(ratio)}, ratio


def main() -> None:
    """Convert, answer, compare, time; the figures go to the results folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--device")
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri = given.device or stack.enter_context(emulated())
        device = stack.enter_context(SSHDevice(uri))
        facts = device.host()
        where = f"{facts['board'] or uri}{', emulated' if facts['emulated'] else ''}"
        for network in mobilenets(folder):
            files = forms(network.path, network.data, None, folder / network.name)
            data = open_data(network.data, part=Part.EVALUATION, data_dir=None)
            for name, path in files.items():
                items = held_out_inputs(path, list(files.values()), data, given.items)
                row = compared(device, network.name, name, path, items)
                exact, metrics = name != "onnx int8", row["metrics"]
                agreed = metrics["agreement"] >= (1 if exact else LEAST_AGREEMENT)
                figures.append(
                    Figure(
                        what=f"{network.name} {name} here and on {where}, {row['n']} photos",
                        value=f"{metrics['differing']} photos differ, agreement {metrics['agreement']:.3f}",
                        limit="identical" if exact else f"agreement {LEAST_AGREEMENT}",
                        held=agreed and (not exact or metrics["differing"] == 0),
                    )
                )
                results.append(row)
            timed, ratio = side_by_side(device, network.name, files["tflite int8"])
            results.append(timed)
            figures.append(
                Figure(
                    what=f"p50 of `edgekit benchmark` / median of litert-benchmark: {network.name} on {where}",
                    value=f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})",
                    limit=f"{1 - LIMIT:g} to {1 + LIMIT:g}",
                    held=ratio.low <= 1 + LIMIT and ratio.high >= 1 - LIMIT,
                )
            )
    print(f"Saved {save('raspberry_pi', [*results, {'host': facts}], figures)}.")
    sys.exit(0 if all(figure.held for figure in figures) else 1)


if __name__ == "__main__":
    try:
        main()
    except EdgekitError as error:
        sys.exit(str(error))
