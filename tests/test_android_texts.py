"""What benchmark_model and a phone print, in both generations and damaged, read by keys."""

import pytest
from phone import NEWER, OF_2021, THERMAL, looked

from edgekit.devices.android.facts import read_host, read_state
from edgekit.devices.android.tool import problem, read_told
from edgekit.errors import DeviceError
from edgekit.measure.host import host_facts
from edgekit.measure.settings import RoundFigures


def refusal(text: str) -> str:
    with pytest.raises(DeviceError) as caught:
        read_told(text, device="adb://x")
    return str(caught.value)


def test_the_words_of_2021() -> None:
    told = read_told(OF_2021, device="adb://x")
    assert (told.init_ms, told.first_ms, told.applied, told.delegated) == (20.283, 339.304, "completely", None)
    assert told.runs == RoundFigures(runs=50, mean_ms=266.473, min_ms=265.0, max_ms=269.0, stdev_ms=0.7)
    assert told.footprint_bytes == round(138.809 * 2**20)


def test_newer_words() -> None:
    told = read_told(NEWER, device="adb://x")
    assert (told.init_ms, told.first_ms, told.applied, told.delegated) == (614.333, 905.463, "partially", (58, 60))
    assert (told.runs.runs, told.runs.mean_ms, told.runs.p5_ms, told.runs.p50_ms, told.runs.p95_ms) == (
        *(50, 899.641, 898.333, 899.281, 904.305),
    )
    assert told.footprint_bytes == round(14.8164 * 2**20)


def test_words_in_a_phones_log() -> None:
    """Where the tool is an app, Android puts time and process before each line."""
    logged = "\n".join(f"05-30 15:16:45.362  3380  3380 I tflite  : {line}" for line in NEWER.splitlines())
    assert read_told(logged, device="adb://x") == read_told(NEWER, device="adb://x")


def test_runs_of_one_time_are_told_once() -> None:
    line = next(line for line in NEWER.splitlines() if "count=50" in line)
    same = NEWER.replace(line, "INFO: count=3 curr=899641(all same) p5=899641 median=899641 p95=899641")
    runs = read_told(same, device="adb://x").runs
    assert (runs.runs, runs.mean_ms, runs.min_ms, runs.max_ms, runs.stdev_ms) == (3, 899.641, 899.641, 899.641, None)


@pytest.mark.parametrize(
    ("line", "applied"),
    [
        ("Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate.", "not"),
        ("Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.", None),
        ("", None),
    ],
)
def test_what_is_said_of_xnnpack(line: str, applied: str | None) -> None:
    lines = [line if "Explicitly applied" in each else each for each in OF_2021.splitlines()]
    assert read_told("\n".join(lines), device="adb://x").applied == applied


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("Init: 614333, ", "", "Init"),
        ("Inference (avg): 899641", "Inference (avg): nan", "Inference (avg)"),
        ("First inference: 905463", "First inference: -5", "First inference"),
        ("Inference timings", "Timings of Inference (avg): 1x", "nothing"),
        ("count=50", "count=fifty", "count"),
        ("INFO: count=1 curr=905463 p5=905463 median=905463 p95=905463\n", "", "count, curr"),
        ("curr=898333 ", "curr=inf ", "curr"),
    ],
)
def test_a_figure_that_is_missing_or_no_number(old: str, new: str, missing: str) -> None:
    assert old in NEWER
    text = NEWER.replace(old, new)
    if missing == "nothing":
        assert read_told(text, device="adb://x") == read_told(NEWER, device="adb://x")
        return
    assert refusal(text) == (
        f"benchmark_model on adb://x did not tell {missing} as a number; expected lines such as "
        "'Inference (avg): 266473' and 'count=50 curr=266': take another build of it."
    )


@pytest.mark.parametrize(
    ("old", "new", "runs", "mean"),
    [
        ("avg=899641", "avg=99641", "50", "99.641"),
        ("avg=899641", "avg=880000", "50", "880"),
        ("count=50", "count=0", "0", "899.641"),
    ],
)
def test_figures_that_contradict_each_other(old: str, new: str, runs: str, mean: str) -> None:
    found = refusal(NEWER.replace(old, new))
    assert found == (
        f"benchmark_model on adb://x contradicts itself: {runs} runs of {mean} ms on average, and of 899.641 ms; take "
        "another build of it."
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("min=898007", "min=907000", "min 907, p5 898.333, median 899.281, p95 904.305, max 906.121"),
        ("p5=898333", "p5=899300", "min 898.007, p5 899.3, median 899.281, p95 904.305, max 906.121"),
        ("p95=904305", "p95=899000", "min 898.007, p5 898.333, median 899.281, p95 899, max 906.121"),
        ("max=906121", "max=904000", "min 898.007, p5 898.333, median 899.281, p95 904.305, max 904"),
    ],
)
def test_figures_that_do_not_rise(old: str, new: str, words: str) -> None:
    assert refusal(NEWER.replace(f" {old} ", f" {new} ").replace(f" {old}\n", f" {new}\n")) == (
        f"benchmark_model on adb://x contradicts itself: of the same runs it tells {words}, avg 899.641 ms; take "
        "another build of it."
    )


@pytest.mark.parametrize(("low", "high"), [("899700", "906121"), ("265000", "266000")])
def test_a_mean_lies_between_the_least_and_the_most(low: str, high: str) -> None:
    text = OF_2021.replace("min=265000", f"min={low}").replace("max=269000", f"max={high}")
    assert "contradicts itself: of the same runs it tells min" in refusal(text)


def test_a_mean_may_be_rounded_past_the_least() -> None:
    """As of runs that take seconds: six digits of the mean, all of the others."""
    text = OF_2021.replace("min=265000 max=269000", "min=266473.9 max=266474")
    assert read_told(text, device="adb://x").runs.min_ms == 266.4739


def test_the_operators_of_several_graphs_are_added() -> None:
    line = next(line for line in NEWER.splitlines() if "Replacing" in line)
    text = NEWER.replace(line, f"{line}\n{line.replace('58 out of 60', '3 out of 7')}")
    assert read_told(text, device="adb://x").delegated == (61, 67)


def test_a_count_of_operators_that_cannot_be_is_not_taken() -> None:
    assert read_told(NEWER.replace("58 out of 60", "61 out of 60"), device="adb://x").delegated is None


def test_the_first_line_about_a_failure_is_the_reason() -> None:
    text = "STARTING!\nERROR: Op builtin_code out of range: 299.\nERROR: Failed to construct\nBenchmarking failed.\n"
    assert problem(text) == "Op builtin_code out of range: 299"
    assert problem("STARTING!\nBenchmarking failed.\n") == "STARTING!"
    assert problem("") == "no message"


# The phone itself


def test_facts_have_the_keys_of_every_machine() -> None:
    facts = read_host(looked())
    assert set(facts) == {*host_facts(), "android"}
    assert {key: facts[key] for key in ("machine", "board", "cpu", "features", "cores", "allowed_cpus")} == {
        "machine": "aarch64",
        "board": "Maker Phone 5",
        "cpu": "Cortex-A55 + Cortex-A76",
        "features": ["dotprod", "neon"],
        "cores": 6,
        "allowed_cpus": 4,
    }
    assert (facts["memory_bytes"], facts["governor"], facts["frequency_limits_mhz"]) == (
        *(7654321 * 1024, "schedutil", [1804.8, 2841.6]),
    )
    assert (facts["soc"], facts["userland_bits"], facts["boot_id"]) == (
        *("SM8250", 64, "0f2c1b9e-1d2c-4b7a-9c3e-5a6b7c8d9e0f"),
    )
    assert (facts["system"], facts["kernel"], facts["emulated"]) == ("Android 13", "4.19.157-perf", False)
    assert facts["android"] == {
        "abi": "arm64-v8a",
        "sdk": "33",
        "fingerprint": "maker/phone/phone:13/TQ3A.230901.001/1:user/release-keys",
        "battery_percent": 87,
        "power": "USB",
        "thermal_status": "none",
        "wakefulness": "Awake",
        "battery_saver": False,
    }


@pytest.mark.parametrize("line", ["[ro.kernel.qemu]: [1]", "[ro.boot.qemu]: [1]", "[ro.hardware]: [ranchu]"])
def test_an_emulator_is_no_phone(line: str) -> None:
    assert read_host(looked(properties=line))["emulated"]


def test_the_state_of_a_quiet_phone() -> None:
    phone = read_state(looked())
    assert phone.busy_s == 2.0
    assert phone.conditions.frequency_mhz == (1804.8, 2841.6)
    assert phone.conditions.temperature_c == {"CPU0": 36.5, "VIRTUAL-SKIN": 31.2, "battery": 30.1}
    assert (phone.conditions.throttled, phone.conditions.load_1min) == ((), 0.5)


@pytest.mark.parametrize(
    ("section", "text", "reason"),
    [
        ("thermal", "Thermal Status: 1", "thermal status light"),
        ("thermal", "Thermal Status: 3", "thermal status severe"),
        ("saver", "1", "battery saver"),
        ("power", "mWakefulness=Asleep", "screen off"),
        ("power", "mWakefulness=Dreaming", "screen off"),
    ],
)
def test_each_reason_to_doubt(section: str, text: str, reason: str) -> None:
    assert read_state(looked(**{section: text})).conditions.throttled == (reason,)


@pytest.mark.parametrize(("abi", "bits"), [("armeabi-v7a", 32), ("x86_64", 64), ("", None)])
def test_the_bits_of_what_runs_there(abi: str, bits: int | None) -> None:
    assert read_host(looked(properties=f"[ro.product.cpu.abi]: [{abi}]"))["userland_bits"] == bits


def test_kept_temperatures_do_not_count_beside_live_ones() -> None:
    kept = THERMAL.replace("mName=CPU0, mStatus=0}\nHAL", "mName=old, mStatus=0}\nHAL")
    assert kept != THERMAL
    assert "old" not in read_state(looked(thermal=kept)).conditions.temperature_c


def test_a_phone_has_no_end_of_sensors() -> None:
    sensors = "\n".join(f"\tTemperature{{mValue=30.0, mType=0, mName=s{n}, mStatus=0}}" for n in range(1000))
    assert len(read_state(looked(thermal=sensors, battery="")).conditions.temperature_c) == 64


def test_kept_temperatures_count_where_no_live_ones_are() -> None:
    assert read_state(looked(thermal=THERMAL.partition("HAL Ready")[0])).conditions.temperature_c["CPU0"] == 99.0


@pytest.mark.parametrize(
    ("powered", "power"), [("AC powered: true", "AC"), ("AC powered: false", "battery"), ("", None)]
)
def test_where_the_power_comes_from(powered: str, power: str | None) -> None:
    assert read_state(looked(battery=f"  {powered}\n")).power == power


def test_a_phone_that_tells_nothing_or_nonsense() -> None:
    nonsense = "\x1b[31m\n[ro.product.model]: [\x1b]0;x\x07]\n" + "9" * 500 + "\nMemTotal: x kB\nThermal Status: 9"
    for text in ("", looked(**dict.fromkeys(["stat", "load", "governor", "clock", "thermal", "present"], nonsense))):
        phone, facts = read_state(text), read_host(text)
        assert phone.busy_s is None
        assert (phone.thermal_status, phone.conditions.load_1min, phone.conditions.frequency_mhz) == (None, None, ())
        assert phone.conditions.governor is None
        assert facts["cores"] >= 1
        assert facts["allowed_cpus"] >= 1
    told = read_host(looked(properties="[ro.product.model]: [a\x1b[31mb]", machine="\x1b[31m", memory="MemTotal: x"))
    assert (told["board"], told["machine"], told["memory_bytes"]) == ("a\ufffd[31mb", None, None)
