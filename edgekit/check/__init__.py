"""Accuracy regression tests: did a model get worse, by more than chance, since all was well?"""

from edgekit.check.budgets import Budgets, Config, read_config
from edgekit.check.judge import Line
from edgekit.check.run import CheckReport, check, require_no_regression, update
from edgekit.check.start import Started, init
from edgekit.check.verdicts import Finding, Verdict

__all__ = [
    "Budgets",
    "CheckReport",
    "Config",
    "Finding",
    "Line",
    "Started",
    "Verdict",
    "check",
    "init",
    "read_config",
    "require_no_regression",
    "update",
]
