"""The files of one start of a Raspberry Pi: what its kernel says, its keys, and how sshd and ssh are set up."""

import subprocess
from pathlib import Path

from aarch64.pi_root import THROTTLED, USER
from aarch64.sysroot import CORE_COUNT, write_cpu
from edgekit.errors import EdgekitError

CPU = "cortex-a72"
MODEL = "Raspberry Pi 4 Model B Rev 1.4"
HOST = "pi-test"
"""What the SSH configuration calls it."""

# As a Raspberry Pi 4 says them that has little to do; frequencies in kHz, temperature in thousandths of a degree.
_CPUFREQ = {
    "cpuinfo_max_freq": "1500000",
    "cpuinfo_min_freq": "600000",
    "scaling_cur_freq": "1500000",
    "scaling_governor": "ondemand",
    "scaling_max_freq": "1500000",
    "scaling_min_freq": "600000",
}
_SYS = {
    "class/thermal/thermal_zone0/temp": "48199",
    "class/thermal/thermal_zone0/type": "cpu-thermal",
    "devices/system/cpu/online": f"0-{CORE_COUNT - 1}",
    **{f"devices/system/cpu/cpu{i}/cpufreq/{k}": v for i in range(CORE_COUNT) for k, v in _CPUFREQ.items()},
}


def write_board(board: Path, port: int) -> None:
    """Everything that a start on ``port`` needs, in an empty folder."""
    _write_texts(board / "texts")
    for name in ("key", "etc/ssh/host_key"):
        (board / name).parent.mkdir(parents=True, exist_ok=True)
        _make_key(board / name)
    (board / "etc/ssh/authorized_keys").write_text((board / "key.pub").read_text())
    (board / "known_hosts").write_text(f"[127.0.0.1]:{port} {(board / 'etc/ssh/host_key.pub').read_text()}")
    (board / "etc/ssh/sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey /etc/ssh/host_key\nPidFile none\n"
        "AuthorizedKeysFile /etc/ssh/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"UsePAM no\nAllowUsers {USER}\nMaxStartups 100\nSetEnv QEMU_CPU={CPU}\n"
        "Subsystem sftp /usr/lib/openssh/sftp-server\n"
    )
    (board / "ssh_config").write_text(
        f"Host {HOST}\n  HostName 127.0.0.1\n  Port {port}\n  User {USER}\n  IdentityFile {board}/key\n"
        f"  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {board}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
    )


def _write_texts(texts: Path) -> None:
    texts.mkdir()
    write_cpu(texts, CPU)
    with (texts / "proc/cpuinfo").open("a") as file:
        file.write(f"Revision\t: c03114\nModel\t\t: {MODEL}\n")
    said = {f"sys/{name}": f"{text}\n" for name, text in _SYS.items()}
    said |= {"sys/firmware/devicetree/base/model": f"{MODEL}\0", THROTTLED: "0\n"}
    for name, text in said.items():
        (texts / name).parent.mkdir(parents=True, exist_ok=True)
        (texts / name).write_text(text)


def _make_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgekitError(f"No key for the Raspberry Pi can be made: ssh-keygen says: {done.stderr.strip()}")
