"""Is a device fit for work? Findings in words; nothing there is changed but edgekit's own cache."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import open_artifact
from edgekit.devices import Device, open_device
from edgekit.devices.android.phone import PhoneDevice
from edgekit.devices.look import OLDEST_PYTHON, Look
from edgekit.devices.ssh import SSHDevice
from edgekit.doctor.engines import TRIALS
from edgekit.doctor.finding import Diagnosis, Finding, Status
from edgekit.doctor.machine import check_cpu, check_governor, check_platform
from edgekit.errors import DeviceError, EdgekitError, MissingExtraError
from edgekit.files import scratch_folder
from edgekit.measure.settings import BenchmarkSettings, Job
from edgekit.workers import silent

SCARCE_BYTES = 300_000_000
"""What an environment with both engines takes on a disk, and what a model of usual size wants of memory."""

_FORMATS = {"tflite": "litert", "onnx": "onnxruntime"}
"""The smallest model of each format is that of this engine's trial."""


def examine_device(uri: str) -> Diagnosis:
    """Look at the device at ``uri``: how it is reached, what it is, and which models run there.

    It is not healthy where no model could run. `InputError` for an address that is none; a device that is not there is
    a finding.
    """
    device: Any = open_device(uri)
    findings: list[Finding] = []
    host: dict[str, Any] = {}
    try:
        with device:
            findings.append(Finding(name="reachable", status=Status.OK, detail=uri))
            if isinstance(device, SSHDevice):
                look = device.look()
                findings += look_findings(uri, look)
                if any(finding.status is Status.BROKEN for finding in findings):
                    return Diagnosis(findings=tuple(findings), host=host)
            host = device.host()
            findings += [
                Finding(name="system", status=Status.OK, detail=_system(host)),
                check_platform(host),
                check_cpu(host["features"], host["machine"]),
                check_governor(host),
                *(
                    [tool_finding(device)]
                    if isinstance(device, PhoneDevice)
                    else engine_findings(device, provisioned=isinstance(device, SSHDevice))
                ),
            ]
    except (DeviceError, MissingExtraError) as error:
        name = "work" if findings else "reachable"
        findings.append(Finding(name=name, status=Status.BROKEN, detail=str(error)))
    return Diagnosis(findings=tuple(findings), host=host)


def _system(host: Mapping[str, Any]) -> str:
    return f"{host['system']}, kernel {host['kernel']}" if host["kernel"] else f"{host['system']}"


def look_findings(uri: str, look: Look) -> Iterator[Finding]:
    """What a device over SSH has, as far as its Python alone can tell."""
    old = look.version < OLDEST_PYTHON
    library = f"glibc {look.glibc}" if look.glibc else "another C library than glibc"
    yield Finding(
        name="machine",
        status=Status.OK,
        detail=f"{look.system}, {look.machine}, Python of {look.bits} bits, {library}",
    )
    yield Finding(
        name="python",
        status=Status.BROKEN if old else Status.OK,
        detail=f"{look.python}, {look.executable}" + ("; expected 3.9 or newer" if old else ""),
        advice="Install one there, and name it: edgekit device add NAME URI --python PATH" if old else None,
    )
    numpy = dict(look.packages).get("numpy")
    yield Finding(
        name="numpy",
        status=Status.OK if numpy else Status.BROKEN,
        detail=numpy or "not installed",
        advice=None if numpy or old else f"Run: edgekit device provision {uri}",
    )
    scarce = look.free_bytes < SCARCE_BYTES
    yield Finding(
        name="disk",
        status=Status.NOTE if scarce else Status.OK,
        detail=f"{look.free_bytes / 1e6:,.0f} MB free in {look.home}" + ("" if look.writable else ", not writable"),
        advice="Make room there: models are copied to it, and an environment takes 300 MB." if scarce else None,
    )
    memory = look.memory_available_bytes
    tight = memory is not None and memory < SCARCE_BYTES
    yield Finding(
        name="memory",
        status=Status.NOTE if tight else Status.OK,
        detail="it does not tell" if memory is None else f"{memory / 1e6:,.0f} MB available",
        advice="Close what else runs there." if tight else None,
    )


def tool_finding(phone: PhoneDevice) -> Finding:
    """Whether the phone's benchmark_model times the smallest model."""
    once = BenchmarkSettings(runs=1, warmup=0, min_duration_s=0, rounds=1, settle=0)
    with scratch_folder() as folder:
        path = Path(folder) / "relu.tflite"
        path.write_bytes(TRIALS["litert"].model)
        try:
            run = phone.measure([Job(artifact=open_artifact(path))], once, progress=silent)
        except EdgekitError as error:
            return Finding(name="benchmark_model", status=Status.BROKEN, detail=str(error))
    version = run.timings[0].runtime_version
    detail = f"{version} times .tflite files, and gives no outputs"
    return Finding(name="benchmark_model", status=Status.OK, detail=detail)


def engine_findings(device: Device, *, provisioned: bool) -> list[Finding]:
    """Whether the device runs the smallest model of each format; one is enough."""
    findings, runs = [], False
    with scratch_folder() as folder:
        for suffix, trial in _FORMATS.items():
            path = Path(folder) / f"relu.{suffix}"
            path.write_bytes(TRIALS[trial].model)
            try:
                findings += _tried(device, path)
                runs = True
            except MissingExtraError as error:
                advice = f"Run: edgekit device provision {device.uri} --engine {trial}" if provisioned else None
                detail = f"nothing runs {path.suffix} files" if provisioned else str(error)
                findings.append(Finding(name=path.suffix, status=Status.NOTE, detail=detail, advice=advice))
            except EdgekitError as error:
                findings.append(Finding(name=path.suffix, status=Status.BROKEN, detail=str(error)))
    if not runs:
        advice = f"Run: edgekit device provision {device.uri}" if provisioned else None
        findings.append(Finding(name="models", status=Status.BROKEN, detail="no model can run there", advice=advice))
    return findings


def _tried(device: Device, path: Path) -> list[Finding]:
    runtime = device.open(open_artifact(path))
    (answer,) = runtime.run({"x": np.array([[-1, 2]], np.float32)}).values()
    named = f"{runtime.name} {runtime.version}"
    if answer.tolist() != [[0.0, 2.0]]:
        raise DeviceError(f"{named} says that relu of -1 and 2 is {answer.tolist()}; expected [[0.0, 2.0]].")
    found = [Finding(name=path.suffix, status=Status.OK, detail=f"{named} runs such files")]
    if runtime.delegation is not None:
        works = runtime.delegation.works
        found.append(
            Finding(
                name="XNNPACK",
                status=Status.OK if works else Status.NOTE,
                detail="runs operators of .tflite files" if works else "is not used, so that .tflite files are slow",
                advice=None if works else "Look at /proc/cpuinfo and /sys/devices/system/cpu there.",
            )
        )
    return found
