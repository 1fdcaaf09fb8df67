"""Host facts and conditions, read from the recorded files of a Raspberry Pi and from damaged ones."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgekit.measure.conditions import read_conditions
from edgekit.measure.host import cpu_features, emulated, host_facts
from edgekit.measure.system import Command, run_command

PI_CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd08

Revision\t: c03115
Model\t\t: Raspberry Pi 4 Model B Rev 1.5
"""


def firmware(throttled: str) -> Command:
    def command(arguments: Sequence[str]) -> str | None:
        return {("vcgencmd", "get_throttled"): throttled}.get(tuple(arguments))

    return command


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    files = {
        "proc/cpuinfo": PI_CPUINFO,
        "proc/meminfo": "MemTotal:        3884332 kB\nMemFree:          100 kB\n",
        "proc/loadavg": "0.52 0.40 0.30 1/180 2345\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian"\n',
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "61342\n",
    }
    for cpu in range(4):
        folder = f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        files |= {
            f"{folder}/scaling_governor": "ondemand\n",
            f"{folder}/scaling_cur_freq": f"{600000 + 300000 * cpu}\n",
            f"{folder}/scaling_max_freq": "1800000\n",
        }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_raspberry_pi_is_described(pi: Path) -> None:
    facts = host_facts(pi, firmware("throttled=0x0"))
    assert facts["board"] == "Raspberry Pi 4 Model B Rev 1.5"
    assert facts["cpu"] == "Cortex-A72"
    assert facts["features"] == ["neon"]
    assert facts["memory_bytes"] == 3884332 * 1024
    assert facts["governor"] == "ondemand"
    assert facts["frequency_mhz"] == [600.0, 900.0, 1200.0, 1500.0]
    assert facts["frequency_limits_mhz"] == [1800.0] * 4
    assert facts["temperature_c"] == {"thermal_zone0:cpu-thermal": 61.342}
    assert facts["throttled"] == []
    assert facts["load_1min"] == 0.52
    assert facts["system"] == "Debian GNU/Linux 12 (bookworm)"
    assert facts["emulated"] is False


def test_a_board_is_known_without_its_link_in_proc(pi: Path) -> None:
    tree = pi / "sys/firmware/devicetree/base"
    tree.mkdir(parents=True)
    (pi / "proc/device-tree/model").rename(tree / "model")
    assert host_facts(pi, firmware(""))["board"] == "Raspberry Pi 4 Model B Rev 1.5"


def test_facts_of_this_machine_are_json() -> None:
    facts = host_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["packages"]["numpy"]


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    now = read_conditions(tmp_path, firmware(""))
    assert (now.governor, now.frequency_mhz, dict(now.temperature_c), now.throttled) == (None, (), {}, ())
    assert now.top_frequency_mhz is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("throttled=0x50005", ("under-voltage", "throttled")),
        ("throttled=0x50000", ()),  # happened since the start, not now
        ("throttled=0xa", ("frequency capped", "soft temperature limit")),
        ("", ()),
    ],
)
def test_throttling_now_is_told_from_throttling_since_boot(pi: Path, answer: str, expected: tuple[str, ...]) -> None:
    assert read_conditions(pi, firmware(answer)).throttled == expected


def test_the_voltage_alarm_is_read_without_the_firmware_tool(pi: Path) -> None:
    alarm = pi / "sys/class/hwmon/hwmon1/in0_lcrit_alarm"
    alarm.parent.mkdir(parents=True)
    alarm.write_text("1\n")
    assert read_conditions(pi, firmware("")).throttled == ("under-voltage",)


def test_user_mode_emulation_is_noticed(pi: Path) -> None:
    link = pi / "proc/thread-self/exe"
    link.parent.mkdir(parents=True)
    os.symlink("/usr/bin/qemu-aarch64-static", link)
    assert host_facts(pi, firmware(""))["emulated"] is True


def test_an_emulated_processor_is_noticed(tmp_path: Path) -> None:
    assert emulated(tmp_path, "model name\t: QEMU TCG CPU version 2.5+\n")
    assert not emulated(tmp_path, "model name\t: Intel(R) Xeon(R) Processor\n")


def test_features_have_one_name_on_every_architecture() -> None:
    assert cpu_features("flags\t\t: fpu avx2 avx512f avx512_vnni\n") == ["avx2", "avx512", "avx512_vnni"]
    assert cpu_features("Features\t: fp asimd asimddp i8mm\n") == ["dotprod", "i8mm", "neon"]


def test_a_missing_program_answers_nothing() -> None:
    assert run_command(["no-such-program-anywhere"]) is None
    assert run_command(["false"]) is None
    assert run_command(["echo", "hello"]) == "hello"
