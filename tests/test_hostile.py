"""Full disks, read-only folders, little memory, two at once: one sentence and exit code 2, and nothing partial."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifact import open_artifact
from edgekit.claims import sole_use
from edgekit.errors import InputError
from edgekit.files import Staging
from edgekit.limits import TENSORFLOW_BYTES, TRAINING_BYTES, least_bytes, require_address_space
from edgekit.runtimes.probe import probe

CORPUS = Path(__file__).parent / "fuzz" / "corpus"
Disk = Callable[[int], Path]
MB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Makes a disk of so many kilobytes; `read_only` makes one so. Skipped where nothing may be mounted."""
    with ExitStack() as mounts:

        def make(kilobytes: int) -> Path:
            place = tmp_path / f"disk{kilobytes}"
            place.mkdir()
            _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place))
            mounts.callback(subprocess.run, ["/usr/bin/env", "umount", "-l", str(place)], check=True)
            return place

        yield make


def _mount(*arguments: str) -> None:
    done = subprocess.run(["/usr/bin/env", "mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")


def read_only(place: Path) -> Path:
    _mount("-o", "remount,ro", str(place))
    return place


def edgekit(
    *arguments: object, memory: int | None = None, file_bytes: int | None = None, tmp: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command with limits to its address space and the size of its files, as a process of its own."""
    import resource

    def limit() -> None:
        for kind, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, file_bytes)):
            if value is not None:
                resource.setrlimit(kind, (value, value))

    # Python writes byte code that is cut off by such a limit, and fails at it ever after.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **({} if tmp is None else {"TMPDIR": str(tmp)})}
    return subprocess.run(
        [sys.executable, "-m", "edgekit", *map(str, arguments)],
        capture_output=True, text=True, env=env, preexec_fn=limit, timeout=300, check=False,
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a command ended with."""
    assert done.returncode == 2, done
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("edgekit: ")]
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
    return line.removeprefix("edgekit: ")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CORPUS / "results", tmp_path / "results"))


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A part of a card."""
    path = tmp_path / "part.json"
    path.write_text('{"task": "classification"}')
    return path


def test_a_report_for_a_full_disk_leaves_nothing(disk: Disk, results: Path) -> None:
    full = disk(4)
    page = full / "report.html"
    assert refused(edgekit("report", results, "-o", page)) == (
        f"{page} cannot be used: No space left on device; mend that and try again."
    )
    assert names(full) == []


def test_a_card_for_a_full_disk_leaves_the_model_as_it_was(disk: Disk, tiny_models: Path, part: Path) -> None:
    full = disk(28)
    model = Path(shutil.copy(tiny_models / "convnet.keras", full))
    assert refused(edgekit("card", "attach", model, part)) == (
        f"{model} cannot be used: No space left on device; mend that and try again."
    )
    assert names(full) == ["convnet.keras"]
    assert model.read_bytes() == (tiny_models / "convnet.keras").read_bytes()


@pytest.mark.slow
def test_a_conversion_for_a_full_disk_leaves_nothing(disk: Disk, tiny_models: Path) -> None:
    full = disk(4)
    done = edgekit("convert", tiny_models / "convnet.onnx", "-p", "fp16", "-o", full / "out")
    assert "No space left on device" in refused(done)
    assert names(full) == []


@pytest.mark.slow
def test_a_full_disk_for_temporary_files_is_told(disk: Disk, tiny_models: Path, tmp_path: Path) -> None:
    """Calibration data that finds no room used to end the process by SIGBUS."""
    full = disk(64)
    data = tmp_path / "d.npz"
    np.savez(data, x=np.random.default_rng(0).random((2000, 6, 4, 3), np.float32))
    source = ("convert", tiny_models / "convnet.onnx", "-p", "int8", "--calibration", data, "--samples", "2000")
    assert refused(edgekit(*source, "-o", tmp_path / "out", tmp=full)) == (
        "A file cannot be used: No space left on device; mend that and try again."
    )
    assert names(full) == []
    assert not (tmp_path / "out").exists()


def test_read_only_folders_are_refused(disk: Disk, tiny_models: Path, part: Path, results: Path) -> None:
    place = disk(1000)
    model = Path(shutil.copy(tiny_models / "convnet.onnx", place))
    read_only(place)
    told = f"Cannot write to {place}: Read-only file system; choose another folder with -o."
    assert refused(edgekit("report", results, "-o", place / "r.html")) == told
    assert refused(edgekit("card", "attach", model, part)) == told
    assert refused(edgekit("inspect", model, "--json", place / "i.json")) == (
        f"Cannot write to {place / 'i.json'}: Permission denied; choose another folder."
    )
    assert names(place) == ["convnet.onnx"]


def test_files_larger_than_allowed_leave_nothing(tmp_path: Path, results: Path) -> None:
    page = tmp_path / "out" / "report.html"
    assert refused(edgekit("report", results, "-o", page, file_bytes=1000)) == (
        f"{page} cannot be used: File too large; mend that and try again."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process to its size")
def test_too_little_memory_is_told_before_a_library_dies_of_it(tmp_path: Path, tiny_models: Path) -> None:
    def limited(limit: int, what: str, least: int) -> str:
        return (
            f"Memory is limited to {limit / 1e6:.0f} MB of address space (ulimit -v); {what} needs "
            f"{least / 1e6:.0f} MB or more: raise the limit."
        )

    inspected = edgekit("inspect", tiny_models / "convnet.tflite", memory=100 * MB)
    assert refused(inspected) == limited(100 * MB, "edgekit", least_bytes())
    run = edgekit("train", "mlp", "--data", "digits", "-o", tmp_path / "run", memory=1500 * MB)
    assert refused(run) == limited(1500 * MB, "training", TRAINING_BYTES)
    first = edgekit("quickstart", "-o", tmp_path / "first", memory=3000 * MB)
    assert refused(first) == limited(3000 * MB, "training", TRAINING_BYTES)
    predicted = edgekit(
        "evaluate", tiny_models / "convnet.keras", "--data", CORPUS / "npz" / "parts.npz", memory=1000 * MB
    )
    assert limited(1000 * MB, "TensorFlow", TENSORFLOW_BYTES) in refused(predicted)
    assert names(tmp_path) == []
    require_address_space(1, "nothing")


@pytest.mark.slow
def test_little_memory_for_a_child_is_one_sentence(tmp_path: Path, tiny_models: Path) -> None:
    done = edgekit("convert", tiny_models / "convnet.keras", "-p", "fp32", "-o", tmp_path / "out", memory=600 * MB)
    assert refused(done).startswith("The step 'load' failed: the process of edgekit.converters.tf_worker ended with ")
    assert names(tmp_path) == []


def _both(*commands: tuple[object, ...]) -> list[subprocess.CompletedProcess[str]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "edgekit", *map(str, c)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for c in commands
    ]
    done = []
    for process in started:
        out, err = process.communicate(timeout=300)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return done


@pytest.mark.slow
def test_two_conversions_of_one_name_end_with_the_files_of_one(tmp_path: Path, tiny_models: Path) -> None:
    from edgekit.converters.manifest import load_manifest

    command = ("convert", tiny_models / "convnet.onnx", "-p", "fp16", "-o", tmp_path)
    done = _both(command, command)
    assert sorted(d.returncode for d in done) == [0, 2], done
    (loser,) = [d for d in done if d.returncode]
    target = tmp_path / "convnet.fp16.onnx"
    assert refused(loser) == f"{target} exists; use --force to replace it or -o to write elsewhere."
    (record,) = tmp_path.glob("*.manifest.json")
    assert names(tmp_path) == sorted([target.name, record.name])
    assert load_manifest(record).artifacts[0].sha256 == open_artifact(target).sha256
    probe(target)


def test_two_that_attach_a_card_leave_one_of_them(tmp_path: Path, tiny_models: Path) -> None:
    model = Path(shutil.copy(tiny_models / "convnet.onnx", tmp_path))
    cards = []
    for name in ("one", "two"):
        cards.append(tmp_path / f"{name}.json")
        cards[-1].write_text(f'{{"name": "{name}"}}')
    done = _both(*(("card", "attach", model, card) for card in cards))
    assert [d.returncode for d in done] == [0, 0], done
    assert open_artifact(model).card.name in ("one", "two")
    assert names(tmp_path) == ["convnet.onnx", "one.json", "two.json"]


def test_a_folder_in_use_is_refused_and_free_afterwards(tmp_path: Path) -> None:
    told = f"Another process is at work in {tmp_path}; wait for it, or choose another folder with -o."
    with sole_use(tmp_path):
        for wait_s in (0.0, 0.05):
            with pytest.raises(InputError) as caught, sole_use(tmp_path, wait_s=wait_s):
                pass
            assert str(caught.value) == told
    with sole_use(tmp_path):
        pass


def test_publishing_replaces_no_file_without_force(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")
    with Staging(tmp_path) as stage:
        for name in ("a", "b"):
            (stage.path / name).write_text("new")
        with pytest.raises(InputError) as caught:
            stage.publish("a", "b", force=False)
    assert str(caught.value) == f"{tmp_path / 'b'} exists; use --force to replace it or -o to write elsewhere."
    assert names(tmp_path) == ["b"]


@pytest.mark.slow
def test_a_training_on_a_full_disk_goes_on_when_there_is_room(disk: Disk) -> None:
    """The first checkpoint finds no room, and neither a part of it nor anything else but the settings is left."""
    full = disk(64)
    command = ("train", "mlp", "--data", "digits", "--epochs", "2", "-o", full / "run")
    assert refused(edgekit(*command)) == (
        f"{full / 'run' / 'checkpoint.npz'} cannot be used: No space left on device; mend that and try again."
    )
    assert names(full / "run") == ["settings.json"]
    _mount("-o", "remount,size=20m", str(full))
    assert edgekit(*command).returncode == 0
    assert names(full / "run") == ["history.json", "model.keras", "settings.json"]


@pytest.mark.slow
def test_long_work_for_a_read_only_disk_is_refused(disk: Disk) -> None:
    place = read_only(disk(1000))
    run = edgekit("train", "mlp", "--data", "digits", "-o", place / "run")
    assert refused(run) == f"Cannot write to {place / 'run'}: Read-only file system; choose another folder with -o."
    model = Path(__file__).parent / "golden" / "models" / "convnet.onnx"
    converted = edgekit("convert", model, "-p", "fp16", "-o", place)
    assert refused(converted) == f"Cannot write to {place}: Read-only file system; choose another folder with -o."
    first = edgekit("quickstart", "-o", place / "first")
    assert refused(first) == f"Cannot write to {place / 'first'}: Read-only file system; choose another folder with -o."


@pytest.mark.slow
def test_a_quickstart_on_a_full_disk_leaves_nothing(disk: Disk) -> None:
    full = disk(4)
    (full / "other").write_bytes(bytes(4096))
    settings = full / "first" / "mobilenet_v2-digits" / "settings.json"
    assert refused(edgekit("quickstart", "-o", full / "first")) == (
        f"{settings} cannot be used: No space left on device; mend that and try again."
    )
    assert names(full) == ["other"]


@pytest.mark.slow
def test_of_two_trainings_in_one_folder_one_is_refused(tmp_path: Path) -> None:
    command = ("train", "mlp", "--data", "digits", "--epochs", "2", "-o", tmp_path / "run")
    done = _both(command, command)
    assert sorted(d.returncode for d in done) == [0, 2], done
    (loser,) = [d for d in done if d.returncode]
    assert refused(loser) in (
        f"Another process is at work in {tmp_path / 'run'}; wait for it, or choose another folder with -o.",
        f"{tmp_path / 'run' / 'model.keras'} exists; use --force to replace it or -o to write elsewhere.",
    )
    assert names(tmp_path / "run") == ["history.json", "model.keras", "settings.json"]


@pytest.mark.slow
def test_memory_that_ends_in_a_training_is_one_sentence(tmp_path: Path) -> None:
    from edgekit.models.registry import find_spec
    from edgekit.models.train import TrainRequest, train

    def full(*_: object) -> None:
        raise MemoryError("Unable to allocate 54.0 MiB for an array")

    request = TrainRequest(spec=find_spec("mlp"), data="digits", epochs=1)
    with pytest.raises(InputError) as caught:
        train(request, tmp_path / "run", on_epoch=full)
    assert str(caught.value) == (
        "There is not enough memory to train mlp (Unable to allocate 54.0 MiB for an array): "
        "train with a smaller --batch-size."
    )
    assert names(tmp_path / "run") == ["checkpoint.npz", "settings.json"]
    with np.load(tmp_path / "run" / "checkpoint.npz") as arrays:
        rest = {name: arrays[name] for name in arrays.files if name != "model/00000"}
    np.savez(tmp_path / "run" / "checkpoint.npz", **rest)
    with pytest.raises(InputError) as caught:
        train(request, tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run' / 'checkpoint.npz'} is damaged: it does not fit mlp; use --force to start again."
    )
