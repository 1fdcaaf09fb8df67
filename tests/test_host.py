"""Host facts and conditions, read from the recorded files of a Raspberry Pi and from damaged ones."""

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgekit.measure.conditions import read_conditions
from edgekit.measure.host import cpu_features, emulated, host_facts
from edgekit.measure.system import Command, own_threads, run_command, threads_at_work

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
        "proc/meminfo": (
            "MemTotal:        3884332 kB\nMemFree:          100 kB\nMemAvailable:    2000 kB\n"
            "SwapTotal:       102396 kB\nSwapFree:        100000 kB\n"
        ),
        "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
        "proc/sys/kernel/random/boot_id": "1234\n",
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
    assert (facts["soc"], facts["revision"], facts["boot_id"]) == ("brcm,bcm2711", "c03115", "1234")
    assert facts["userland_bits"] == 8 * struct.calcsize("P")
    assert facts["libc"] is None or " " in facts["libc"]
    now = read_conditions(pi, firmware("throttled=0x0"))
    assert (now.memory_available_bytes, now.swap_used_bytes) == (2000 * 1024, 2396 * 1024)
    assert now.top_temperature_c == 61.342


def test_the_chip_is_known_by_the_device_tree_in_sys_too(pi: Path) -> None:
    (pi / "proc/device-tree/compatible").unlink()
    assert host_facts(pi, firmware(""))["soc"] is None
    tree = pi / "sys/firmware/devicetree/base/compatible"
    tree.parent.mkdir(parents=True)
    tree.write_text("raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert host_facts(pi, firmware(""))["soc"] == "brcm,bcm2712"


def test_threads_of_this_process_are_counted(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / "proc/self/task" / str(number)).mkdir(parents=True)
    assert own_threads(tmp_path) == 3
    assert own_threads(tmp_path / "nowhere") is None
    found = [threads_at_work(*counts) for counts in ((2, 5), (2, 2), (None, 5), (2, None))]
    assert found == [4, 1, None, None]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"self": "0::/", "cpu.max": "150000 100000"}, 1),
        ({"self": "0::/", "cpu.max": "50000 100000"}, 1),
        ({"self": "0::/", "cpu.max": "max 100000"}, 8),
        ({"self": "0::/user/app", "user/app/cpu.max": "max 100000", "user/cpu.max": "300000 100000"}, 3),
        ({"self": "0::/user/app", "user/app/cpu.max": "200000 100000", "user/cpu.max": "300000 100000"}, 2),
        ({"self": "0::/only/outside", "cpu.max": "400000 100000"}, 4),
        ({"self": "0::/", "cpu.max": "900000 100000"}, 8),
        ({"self": "3:memory:/\n2:cpu,cpuacct:/docker/1\n0::/", "cpu/cpu.cfs_quota_us": "200000",
          "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"self": "2:cpu:/", "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"self": "2:cpuset:/", "cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)  # fmt: skip
def test_a_containers_quota_counts_as_fewer_cpus(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in files.items():
        path = tmp_path / ("proc/self/cgroup" if name == "self" else f"sys/fs/cgroup/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert host_facts(tmp_path)["allowed_cpus"] == expected


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
    assert (now.top_temperature_c, now.memory_available_bytes, now.swap_used_bytes) == (None, None, None)


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
    now = read_conditions(pi, firmware(answer))
    assert now.throttled == expected
    assert now.throttled_since_start == (("under-voltage", "throttled") if "x5000" in answer else ())


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
