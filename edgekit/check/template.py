"""The text of a new ``edgekit.toml``, with a word on every budget."""

import json
from dataclasses import fields

from edgekit.check.budgets import Budgets, Config, LatencySettings

_HEAD = """\
# What `edgekit check` measures, and how much worse each model may become. Paths are relative to this file.
# A line fails only where its budget is exceeded and chance does not explain it.
"""

_WORDS = {
    "max_drop": "top-1, mAP or exact answers may fall by this much, a fraction, or the equal error rate rise",
    "max_relative_loss": "PR-AUC may fall, or an error of ratings, forecasts or texts grow, by this fraction of itself",
    "min_agreement": "at least this share of the baseline's answers must stay the same, right or wrong",
    "min_sqnr_db": "the outputs must stay this close to the baseline's, in dB; 20 is good for int8, 0 is noise",
    "max_size_growth": "the file may grow by this fraction",
    "min_calibration_share": "it must be calibrated on at least this share of the baseline's number of items",
    "max_p50_ratio": "the p50 of its latency may be this many times the reference's",
}


def render(config: Config, notes: dict[str, str], *, least: str) -> str:
    """``config`` as TOML. ``notes`` are remarks on the ratio of a model file; ``least`` one on ``max_drop``."""
    lines = [_HEAD, f"schema_version = {config.schema_version}", f"baseline = {_text(config.baseline)}", "", "[data]"]
    settings = {f.name: getattr(config.data, f.name) for f in fields(config.data)}
    lines += [f"{name} = {_value(value)}" for name, value in settings.items() if value is not None]
    lines += ["", "[budgets]", f"# {least}"]
    lines += [f"{name} = {_value(value)}  # {_WORDS[name]}" for name, value in _set(config.budgets)]
    if config.latency is not None:
        lines += ["", *_latency(config.latency)]
    lines += ["", "# A model may have limits of its own: budgets = { max_drop = 0.02 }"]
    for model in config.models:
        lines += ["[[models]]", f"file = {_text(model.file)}"]
        own = ", ".join(f"{name} = {_value(value)}" for name, value in _set(model.budgets))
        if own:
            remark = notes[model.file] if model.file in notes else _WORDS["max_p50_ratio"]
            lines.append(f"budgets = {{ {own} }}  # {remark}")
        lines.append("")
    return "\n".join(lines)


def _latency(settings: LatencySettings) -> list[str]:
    return [
        "# Latency is judged as a ratio to this file, timed in turns with it, so that a slow machine slows both.",
        "# A copy that never changes is the best reference: when all files become slower, no ratio shows it.",
        "[latency]",
        *(f"{f.name} = {_value(getattr(settings, f.name))}" for f in fields(settings)),
    ]


def _set(budgets: Budgets) -> list[tuple[str, float]]:
    named = [(f.name, getattr(budgets, f.name)) for f in fields(budgets)]
    return [(name, value) for name, value in named if value is not None]


def _value(value: str | float) -> str:
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    """A basic string of TOML: as JSON writes it, which leaves only DEL as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
