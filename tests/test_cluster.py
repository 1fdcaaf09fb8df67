"""Training on several machines: what TF_CONFIG may say, and that two workers learn what one process does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.models.cluster import Cluster, read_cluster
from edgekit.models.registry import find_spec
from edgekit.models.train import TrainRequest, train

PAIR = ["10.0.0.1:2222", "10.0.0.2:2222"]


def config(cluster: object, role: str = "worker", index: int = 0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})}


def test_a_process_is_alone_unless_told_otherwise() -> None:
    assert read_cluster({}) == read_cluster({"TF_CONFIG": " "}) == Cluster()
    assert (Cluster().chief, Cluster().share.count) == (True, 1)


def test_the_chief_comes_before_the_workers() -> None:
    second = read_cluster(config({"worker": PAIR}, index=1))
    assert (second.workers, second.index, second.chief) == (tuple(PAIR), 1, False)
    cluster = {"worker": PAIR[1:], "chief": PAIR[:1]}
    assert read_cluster(config(cluster, role="chief")).index == 0
    assert read_cluster(config(cluster)).index == 1


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"TF_CONFIG": "{"},
            "TF_CONFIG cannot be read (JSONDecodeError: Expecting property name enclosed in double quotes: line 1 "
            'column 2 (char 1)); expected JSON such as {"cluster": {"worker": ["host:port", ...]}, "task": {"type": '
            '"worker", "index": 0}}.',
        ),
        (
            {"TF_CONFIG": '{"cluster": {}}'},
            "TF_CONFIG cannot be read (KeyError: 'task'); expected JSON such as "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.',
        ),
        (
            config({"worker": PAIR, "ps": PAIR}),
            "TF_CONFIG has the role 'ps'; training takes only workers and a chief among them.",
        ),
        (
            config({"worker": PAIR}, role="evaluator"),
            "TF_CONFIG has the role 'evaluator'; training takes only workers and a chief among them.",
        ),
        (config({"worker": PAIR}, index=2), "TF_CONFIG has no worker 2 in its cluster; expected one that it lists."),
    ],
)
def test_what_cannot_be_trained_on_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_cluster(environment)
    assert str(caught.value) == message


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture
def stripes(tmp_path: Path) -> Path:
    """Two kinds of pictures in noise, 96 to train and 32 to test."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 96), ("test", 32)):
        labels = np.arange(count) % 2
        pixels = random.integers(0, 100, (count, 32, 32))
        pixels[labels == 0, 8:12] += 150
        pixels[labels == 1, :, 8:12] += 150
        arrays |= {f"x_{part}": pixels.astype(np.uint8), f"y_{part}": labels}
    path = tmp_path / "stripes.npz"
    np.savez(path, **arrays)
    return path


def start(
    data: Path, run: Path, *, workers: list[str], index: int, epochs: int = 3, batch: int = 16
) -> "subprocess.Popen[str]":
    environment = {**os.environ, **(config({"worker": workers}, index=index) if workers else {})}
    arguments = ["train", "lenet5", "--data", str(data), "--epochs", str(epochs), "--batch-size", str(batch)]
    arguments += ["-o", str(run)]
    return subprocess.Popen(
        [sys.executable, "-m", "edgekit", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses(run: Path) -> list[float]:
    history = json.loads((run / "history.json").read_bytes())
    return [epoch["loss"] for epoch in history["epochs"]] + [epoch["val_loss"] for epoch in history["epochs"]]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_workers_learn_what_one_process_does(stripes: Path, tmp_path: Path) -> None:
    alone = start(stripes, tmp_path / "alone", workers=[], index=0)
    told = alone.communicate(timeout=120)
    assert alone.returncode == 0, told
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    both = [start(stripes, tmp_path / "both", workers=addresses, index=i) for i in (1, 0)]
    told_by_both = [worker.communicate(timeout=200) for worker in both]
    assert [worker.returncode for worker in both] == [0, 0], told_by_both
    assert losses(tmp_path / "both") == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)
    assert sorted(p.name for p in (tmp_path / "both").iterdir()) == ["history.json", "model.keras", "settings.json"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_others_say_so_when_a_worker_goes(stripes: Path, tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    first, second = (start(stripes, tmp_path / "run", workers=addresses, index=i, epochs=400) for i in (0, 1))
    assert first.stderr is not None
    for line in first.stderr:
        if line.startswith("epoch 2/"):
            break
    second.kill()
    second.communicate()
    told = first.communicate(timeout=200)[1]
    assert first.returncode == 2, told
    assert told.splitlines()[-1] == (
        f"edgekit: A worker of the 2 in TF_CONFIG has gone or cannot be reached; {tmp_path / 'run'} keeps every "
        "finished epoch: run the same command to go on."
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_that_do_not_see_one_checkpoint_are_refused(stripes: Path, tmp_path: Path) -> None:
    runs = (tmp_path / "begun", tmp_path / "new")
    alone = start(stripes, runs[0], workers=[], index=0, epochs=400)
    assert alone.stderr is not None
    for line in alone.stderr:
        if line.startswith("epoch 2/"):
            break
    alone.kill()
    alone.communicate()
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    both = [start(stripes, run, workers=addresses, index=i, epochs=400) for i, run in enumerate(runs)]
    told = [worker.communicate(timeout=200)[1] for worker in both]
    assert [worker.returncode for worker in both] == [2, 2], told
    for run, words in zip(runs, told, strict=True):
        assert words.splitlines()[-1].startswith(f"edgekit: {run}/"), words
        assert words.splitlines()[-1].endswith(
            " is not the same for all workers; give a RUN_DIR on a disk that they share, or use --force to start again."
        ), words


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_with_other_settings_are_refused(stripes: Path, tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    both = [start(stripes, tmp_path / "run", workers=addresses, index=i, batch=16 * (i + 1)) for i in range(2)]
    told = [worker.communicate(timeout=200)[1] for worker in both]
    assert [worker.returncode for worker in both] == [2, 2], told
    for words in told:
        assert words.splitlines()[-1] == (
            "edgekit: The workers do not do the same training: give all of them the same command, the same data and "
            "the same edgekit."
        )
    assert not (tmp_path / "run/checkpoint.npz").exists()


def test_a_batch_that_leaves_a_worker_one_image_is_refused(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in config({"worker": ["a:1", "b:2", "c:3"]}, index=0).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        train(TrainRequest(spec=find_spec("lenet5"), data=str(stripes), batch_size=5), tmp_path / "run")
    assert str(caught.value) == "A batch of 5 images is too small for 3 workers; give --batch-size 6 or more."
