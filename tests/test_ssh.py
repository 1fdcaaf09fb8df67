"""Devices over SSH, by a real server on this machine: what is shared, what ends, and one sentence for each failure."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sshd import Server, serving, wait_until

from edgekit.artifact import open_artifact
from edgekit.codec import to_jsonable
from edgekit.devices import openssh
from edgekit.devices.look import LOOK
from edgekit.devices.openssh import Connection, ssh_target
from edgekit.devices.ssh import SSHDevice
from edgekit.errors import DeviceError, EdgekitError, InputError, MissingExtraError
from edgekit.measure.sample_inputs import sample_inputs


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path / "sshd", monkeypatch) as running:
        yield running


def failure(device: SSHDevice) -> str:
    """The sentence with which a look at ``device`` through its agent ends."""
    with pytest.raises(EdgekitError) as caught, device:
        device.host()
    return str(caught.value)


# What is shared, and what ends


def test_all_links_share_one_connection_beyond_the_servers_limit(server: Server, tiny_models: Path) -> None:
    """A server takes ten sessions of a connection; further ones are connections of their own."""
    artifact = open_artifact(tiny_models / "convnet_int8.tflite")
    feed = sample_inputs(artifact.card, seed=3)
    with SSHDevice(server.uri) as device:
        device.host()
        assert server.log.count("Accepted publickey") == 1
        runtimes = [device.open(artifact) for _ in range(11)]
        answers = [runtime.run(feed) for runtime in runtimes]
        assert server.log.count("Accepted publickey") > 1
    for answer in answers[1:]:
        for name, values in answer.items():
            np.testing.assert_array_equal(values, answers[0][name])
    assert wait_until(lambda: not server.agents())
    assert wait_until(lambda: not server.clients())


def test_the_users_configuration_counts(server: Server) -> None:
    """The port, the user and the key of the alias are in it, and what would be in the way is left out."""
    with (server.folder / "ssh_config").open("a") as stream:
        stream.write("  RemoteCommand echo no\n  LocalForward 1 localhost:1\n  LogLevel QUIET\n  ForwardX11 yes\n")
    with SSHDevice("ssh://device") as device:
        assert device.host()["packages"]["numpy"] == np.__version__


@pytest.mark.parametrize(
    "line",
    [
        "StdinNull yes",
        "SessionType none",
        "ForkAfterAuthentication yes",
        "PermitLocalCommand yes\n  LocalCommand echo hi",
    ],
)
def test_what_would_be_in_the_way_of_the_configuration_is_left_out(server: Server, line: str) -> None:
    with (server.folder / "ssh_config").open("a") as stream:
        stream.write(f"  {line}\n")
    with SSHDevice("ssh://device") as device:
        assert device.host()["packages"]["numpy"] == np.__version__


def test_a_client_from_before_its_options_is_not_given_them(server: Server, tmp_path: Path) -> None:
    client = Path(str(shutil.which("ssh")))
    with_version = '[ "$1" != -V ] || { echo OpenSSH_8.6p1 >&2; exit; }'
    client.write_text(client.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{with_version}\n"))
    connection = Connection("x", ["device"])
    assert "SessionType=default" not in connection._options
    with connection:
        assert connection.python == "python3"


def test_a_shell_that_never_comes_is_one_sentence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client says nothing, and does not end either."""
    monkeypatch.setattr(openssh, "SIGN_IN_S", 2.0)
    monkeypatch.setattr(openssh, "OPTIONS_8_7", ())
    with (server.folder / "ssh_config").open("a") as stream:
        stream.write("  SessionType none\n")
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} does not answer; see whether it is switched on, in the same network, and not behind a firewall."
    )


def test_every_connection_is_made_with_all_options(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the program ``ssh`` is called with, here and for each link; a percent sign is no pattern of its own."""
    client = Path(str(shutil.which("ssh")))
    client.write_text(client.read_text().replace("exec ", f'printf "%s\\n" "$*" >>{tmp_path}/called\nexec '))
    with tempfile.TemporaryDirectory(prefix="100%h") as folder:  # pytest's are too long for a socket
        monkeypatch.setattr("tempfile.tempdir", folder)
        with SSHDevice("ssh://device") as device:
            device.look()
            (place,) = Path(folder).glob("edgekit-scratch-*/s")
    version, master, link = [line for line in (tmp_path / "called").read_text().splitlines() if line.startswith("-")]
    shared = (
        "-o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=5 -o ServerAliveCountMax=6 "
        "-o ClearAllForwardings=yes -o RemoteCommand=none -o PermitLocalCommand=no -o LogLevel=INFO "
        "-o StdinNull=no -o SessionType=default -o ForkAfterAuthentication=no"
    )
    path = f"-o ControlPersist=no -o ControlPath={str(place).replace('%', '%%')} -- device"
    assert version == "-V"
    assert master.startswith(f"-T {shared} -o ControlMaster=yes {path} sh -c ")
    assert link.startswith(f"-T {shared} -o ControlMaster=no {path} sh -c ")


def test_a_device_has_the_interpreter_that_is_named(server: Server) -> None:
    path = server.python(
        f'#!/bin/sh\nexport MARK="it\'s"\nexec {shlex.quote(sys.executable)} "$@"\n', "my $(odd) 'python"
    )
    (server.folder / "bin" / "python3").unlink()
    with SSHDevice(server.uri, python=str(path)) as device:
        assert device.connection.python == str(path)
        assert device.host()["allowed_cpus"] >= 1


@pytest.mark.parametrize("python", [None, "/opt/python"])
@pytest.mark.parametrize("made_of", ["", "/opt/python", "/opt/other", None], ids=str)
def test_a_whole_environment_is_used(server: Server, python: str | None, made_of: str | None) -> None:
    """One that nothing else was named for, or that is made of what was named; one without its stamp is not whole."""
    own = server.home / ".local/share/edgekit/venv"
    (own / "bin").mkdir(parents=True)
    (own / "bin/python").symlink_to(sys.executable)
    if made_of is not None:
        (own / "edgekit.made-of").write_text(made_of)
    whole = made_of is not None and python in (None, made_of)
    with SSHDevice(server.uri, python=python) as device:
        assert device.connection.python == (str(own / "bin/python") if whole else python or "python3")


def test_an_environment_whose_interpreter_is_gone_is_not_used(server: Server) -> None:
    own = server.home / ".local/share/edgekit/venv"
    (own / "bin").mkdir(parents=True)
    (own / "bin/python").symlink_to("/nowhere")
    (own / "edgekit.made-of").touch()
    with SSHDevice(server.uri) as device:
        assert device.connection.python == "python3"


def benchmarking(server: Server, model: Path) -> "subprocess.Popen[str]":
    """A benchmark of a minute, with its model at work over there."""
    words = [sys.executable, "-m", "edgekit", "benchmark", str(model), "--device", server.uri, "--min-secs", "60"]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # The connection, the link that tells of the device, and that of the model.
    assert wait_until(lambda: server.log.count("Starting session") >= 3), running.poll()
    assert server.agents()
    return running


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_the_end_of_this_side_leaves_nothing_on_the_device(
    server: Server, tiny_models: Path, sent: signal.Signals
) -> None:
    with benchmarking(server, tiny_models / "convnet_int8.tflite") as running:
        running.send_signal(sent)
        running.wait(timeout=30)
        assert wait_until(lambda: not server.agents())
        assert wait_until(lambda: not server.clients())
        assert running.returncode == (130 if sent != signal.SIGKILL else -signal.SIGKILL)


def test_a_lost_connection_is_one_sentence_and_leaves_nothing_on_the_device(server: Server, tiny_models: Path) -> None:
    with benchmarking(server, tiny_models / "convnet_int8.tflite") as running:
        server.cut()
        _, told = running.communicate(timeout=30)
        assert (running.returncode, told.splitlines()[-1]) == (
            2,
            f"edgekit: The connection to {server.uri} was lost in the midst of work, and what ran there ends by "
            "itself; try again.",
        )
        assert wait_until(lambda: not server.agents())
        assert wait_until(lambda: not server.clients())


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_connection_that_is_silent_ends_the_work_there(server: Server) -> None:
    """As of a cable that was pulled: nobody closes anything, and the device has waited for a minute in vain."""
    with SSHDevice(server.uri) as device:
        device.host()
        stopped = server.clients()
        for number in stopped:
            os.kill(number, signal.SIGSTOP)
        try:
            assert wait_until(lambda: not any(b"python" in words for words in server.agents_words()), seconds=100)
        finally:
            for number in stopped:
                os.kill(number, signal.SIGCONT)
        with pytest.raises(DeviceError) as caught:
            device.host()
    assert str(caught.value) == (
        f"{server.uri} heard nothing of this machine for a minute, and ended its work; see whether the network holds."
    )


def test_the_count_of_what_is_left_sees_what_is_left(server: Server) -> None:
    with SSHDevice(server.uri) as device:
        device.host()
        assert server.agents()
        assert server.clients()


# Failures before anything is done over there


def test_a_refused_connection_is_one_sentence(server: Server) -> None:
    server.process.kill()
    server.process.wait()
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} refuses the connection, so no SSH server listens there; start it on the device, such as: "
        "sudo systemctl enable --now ssh, or mend the port."
    )


def test_an_unknown_name_is_one_sentence() -> None:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed; it is in Debian's package openssh-client")
    assert failure(SSHDevice("ssh://nobody.invalid")) == (
        "ssh://nobody.invalid is not known by that name here; look at its spelling, give its IP address, or name it in "
        "~/.ssh/config."
    )


def test_a_machine_that_is_silent_is_one_sentence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssh, "SIGN_IN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent_one:
        uri = f"ssh://127.0.0.1:{silent_one.getsockname()[1]}"
        assert failure(SSHDevice(uri)) == (
            f"{uri} does not answer; see whether it is switched on, in the same network, and not behind a firewall."
        )


def test_an_unknown_host_key_is_one_sentence(server: Server) -> None:
    (server.folder / "known_hosts").write_text("")
    assert failure(SSHDevice(server.uri)) == (
        f"The host key of {server.uri} is not known here; connect once by hand, compare its fingerprint and accept it: "
        f"ssh -p {server.port} 127.0.0.1"
    )
    assert (server.folder / "known_hosts").read_text() == ""
    assert "Accepted" not in server.log


def test_another_host_key_is_one_sentence(server: Server) -> None:
    other = (server.folder / "key.pub").read_text().split()[:2]
    (server.folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {' '.join(other)}\n")
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} shows another host key than the one that is known: it was set up anew, or another machine "
        "answers in its place; compare the fingerprints by hand, and only then forget the old one: "
        f"ssh-keygen -R '[127.0.0.1]:{server.port}'"
    )
    assert "Accepted" not in server.log


def test_another_host_key_of_an_alias_is_told_by_what_it_is_kept_under(server: Server) -> None:
    other = (server.folder / "key.pub").read_text().split()[:2]
    (server.folder / "known_hosts").write_text(
        f"[127.0.0.1]:{server.port} {' '.join(other)}\nmy-pi {' '.join(other)}\n"
    )
    told = failure(SSHDevice("ssh://device"))
    assert told.endswith(f"only then forget the old one: ssh-keygen -R '[127.0.0.1]:{server.port}'")
    with (server.folder / "ssh_config").open("a") as stream:
        stream.write("  HostKeyAlias my-pi\n")
    assert failure(SSHDevice("ssh://device")).endswith("only then forget the old one: ssh-keygen -R my-pi")


def test_a_host_key_at_the_usual_port_is_kept_under_the_host_alone(server: Server) -> None:
    assert openssh._known_as(ssh_target("ssh://me@10.0.0.7:22")) == "10.0.0.7"
    (server.folder / "ssh_config").write_text("Nonsense yes\n")
    assert openssh._known_as(ssh_target("ssh://10.0.0.7")) is None


def test_a_device_that_lets_nobody_in_is_one_sentence(server: Server) -> None:
    (server.folder / "authorized").write_text("")
    uri = f"ssh://nobody@127.0.0.1:{server.port}"
    assert failure(SSHDevice(uri)) == (
        f"{uri} lets this user in by no key; give it one: ssh-copy-id -p {server.port} nobody@127.0.0.1, "
        "or name the key in ~/.ssh/config."
    )


def test_another_failure_is_told_in_the_words_of_ssh(server: Server) -> None:
    (server.folder / "ssh_config").write_text("Nonsense yes\n")
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} cannot be reached: {server.folder}/ssh_config: terminating, 1 bad configuration options "
        "(ssh ended with 255)."
    )


def test_a_shell_that_talks_is_one_sentence(server: Server) -> None:
    (server.folder / "bin" / "sh").unlink()
    server.python("#!/bin/sh\necho Welcome home\n", "sh")
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} says 'Welcome home' before it does what it is asked; let the files of its shell, such as "
        "~/.bashrc, print nothing where the shell is not interactive."
    )


# Failures of what runs over there


def test_a_missing_python_is_one_sentence(server: Server) -> None:
    (server.folder / "bin" / "python3").unlink()
    sentence = (
        f"{server.uri} has no python3; install it there, such as: sudo apt install python3, or name one: "
        "edgekit device add NAME URI --python PATH"
    )
    assert failure(SSHDevice(server.uri)) == sentence
    with SSHDevice(server.uri) as device, pytest.raises(DeviceError) as caught:
        device.look()
    assert str(caught.value) == sentence


def test_an_interpreter_that_is_no_program_is_one_sentence(server: Server) -> None:
    path = server.python("")
    path.chmod(0o644)
    assert failure(SSHDevice(server.uri, python=str(path))) == (
        f"{server.uri} cannot run {path}; name another interpreter: edgekit device add NAME URI --python PATH"
    )


def test_an_old_python_is_one_sentence(server: Server) -> None:
    """An interpreter that says it is 3.8 ends before anything is sent."""
    server.python(
        f"#!{sys.executable}\nimport sys\nsys.version_info, sys.version = (3, 8, 10), '3.8.10 (old)'\n"
        "del sys.argv[0:2]\nexec(sys.argv[0])\n"
    )
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} has Python 3.8.10; expected 3.9 or newer: install one there, and name it: "
        "edgekit device add NAME URI --python PATH"
    )
    assert not (server.home / ".cache").exists()


def test_a_python_2_is_one_sentence(server: Server) -> None:
    server.python("#!/bin/sh\necho 'SyntaxError: invalid syntax' >&2\nexit 1\n")
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} has a Python that is too old; expected 3.9 or newer: install one there, and name it: "
        "edgekit device add NAME URI --python PATH"
    )


def test_a_missing_numpy_is_one_sentence(server: Server) -> None:
    server.python(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S "$@"\n')
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} has Python but no numpy; run: edgekit device provision {server.uri}"
    )


def test_a_missing_engine_is_one_sentence(server: Server, tiny_models: Path, tmp_path: Path) -> None:
    for name in ("numpy", "numpy.libs"):
        (tmp_path / name).symlink_to(Path(np.__file__).parents[1] / name)
    server.python(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(tmp_path))} exec {shlex.quote(sys.executable)} -S "$@"\n')
    with SSHDevice(server.uri) as device, pytest.raises(MissingExtraError) as caught:
        device.open(open_artifact(tiny_models / "convnet.onnx"))
    assert str(caught.value) == (
        f"On {server.uri}: No engine for .onnx files is installed; run: edgekit device provision {server.uri}"
    )


def test_a_cache_that_cannot_be_written_is_one_sentence(server: Server) -> None:
    server.python(f'#!/bin/sh\nXDG_CACHE_HOME=/dev/null exec {shlex.quote(sys.executable)} "$@"\n')
    assert failure(SSHDevice(server.uri)) == (
        f"{server.uri} cannot write to /dev/null/edgekit: Not a directory; give its user rights there, or set "
        "XDG_CACHE_HOME on it to another folder."
    )


@pytest.fixture
def small_disk(server: Server, tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte on which the device keeps what it is sent."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk is mounted by root only")
    server.python(f'#!/bin/sh\nXDG_CACHE_HOME={shlex.quote(str(disk))} exec {shlex.quote(sys.executable)} "$@"\n')
    yield disk
    words = ["umount", "--lazy", str(disk)]
    subprocess.run(words, check=True)


def test_a_full_disk_is_one_sentence(server: Server, small_disk: Path) -> None:
    (small_disk / "film").write_bytes(bytes(1 << 20))
    assert failure(SSHDevice(server.uri)) == (
        f"The disk of {server.uri} is full; make room there, such as in {small_disk}/edgekit."
    )


def test_a_disk_that_a_model_fills_is_one_sentence(server: Server, small_disk: Path, tmp_path: Path) -> None:
    model = tmp_path / "big.tflite"
    model.write_bytes((Path(__file__).parent / "golden/models/convnet_int8.tflite").read_bytes() + bytes(1 << 20))
    with SSHDevice(server.uri) as device:
        with pytest.raises(DeviceError) as caught:
            device.open(open_artifact(model))
        assert str(caught.value).startswith(f"On {server.uri}: ")
        assert "No space left on device" in str(caught.value)
        assert device.host()["allowed_cpus"] >= 1  # the device goes on
    assert list((small_disk / "edgekit/files").iterdir()) == []


def test_a_look_that_is_no_json_is_one_sentence(server: Server) -> None:
    server.python("#!/bin/sh\necho hello\n")
    with SSHDevice(server.uri) as device, pytest.raises(DeviceError) as caught:
        device.look()
    assert str(caught.value) == rf"{server.uri} says of itself what is no JSON: b'hello\n'; try again."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"python": "new"}, "A device has the Python 'new'; expected a version, such as 3.11.2."),
        ({"bits": "64"}, "What {uri} says of itself.bits is '64'; expected int."),
        ({"more": 1}, "What {uri} says of itself has an unknown key 'more'; known keys: "),
    ],
)
def test_a_look_that_is_none_is_one_sentence(server: Server, change: dict[str, object], sentence: str) -> None:
    with SSHDevice(server.uri) as device:
        honest = to_jsonable(device.look())
        (server.folder / "told").write_text(json.dumps({**honest, **change}))
        server.python(f"#!/bin/sh\nexec cat {server.folder}/told\n")
        with pytest.raises(InputError) as caught:
            device.look()
    assert str(caught.value).startswith(sentence.replace("{uri}", server.uri))


def test_a_device_that_is_busy_is_one_sentence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.devices.ssh.LOOK_S", 0.3)
    server.python("#!/bin/sh\nexec cat /dev/zero >/dev/null\n")
    with SSHDevice(server.uri) as device, pytest.raises(DeviceError) as caught:
        device.look()
    assert str(caught.value) == f"{server.uri} did not answer within 0.3 s; see whether it is busy."
    assert wait_until(lambda: not server.agents())


def test_a_device_that_does_not_stop_talking_is_not_listened_to(server: Server) -> None:
    server.python("#!/bin/sh\nexec /usr/bin/yes\n")
    with SSHDevice(server.uri) as device, pytest.raises(DeviceError) as caught:
        device.look()
    assert "did not answer" not in str(caught.value)
    assert wait_until(lambda: not server.agents())


def test_a_look_ends_by_itself_where_nobody_ends_it(tmp_path: Path) -> None:
    """A device may be without `timeout`; here it hangs, and its minute is a tenth of a second."""
    (tmp_path / "sitecustomize.py").write_text(
        "import platform, signal\nplatform.python_version = signal.pause\n"
        "signal.alarm = lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds / 600)\n"
    )
    words = [sys.executable, "-c", LOOK]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False, timeout=30)
    assert done.returncode == -signal.SIGALRM


def test_a_long_name_of_the_temporary_folder_is_one_sentence(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is shared by a socket, whose name may have a hundred signs."""
    (tmp_path / ("x" * 90)).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 90)))
    assert failure(SSHDevice(server.uri)) == (
        f"The folder for temporary files has too long a name for a connection to {server.uri}; set TMPDIR to a shorter "
        "one."
    )
