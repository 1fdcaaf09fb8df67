"""Is this installation and machine fit for work? Findings in words; nothing is installed or changed."""

import os
import platform
import sys
from pathlib import Path

from edgekit.doctor.engines import TRIALS, check_running
from edgekit.doctor.finding import Diagnosis, Finding, Status, lines
from edgekit.doctor.machine import (
    check_cpu,
    check_data,
    check_display,
    check_governor,
    check_platform,
    check_python,
)
from edgekit.doctor.packages import (
    check_conflicts,
    check_extras,
    check_pins,
    check_shadow,
    installed_distributions,
)
from edgekit.measure.host import host_facts

__all__ = ["Diagnosis", "Finding", "Status", "examine", "lines"]


def examine(*, data_dir: Path | None = None) -> Diagnosis:
    """Look at Python, the machine, the engines, the extras, the data and the display of this installation."""
    host = host_facts()
    versions = installed_distributions()
    findings = (
        check_python(sys.version_info[:2]),
        check_platform(host),
        check_cpu(host["features"], host["machine"]),
        check_governor(host),
        check_shadow(versions),
        *(check_running(name, versions) for name in TRIALS),
        *check_pins(versions),
        *check_conflicts(versions),
        *check_extras(versions),
        check_data(data_dir, os.environ),
        check_display(os.environ, platform.system()),
    )
    return Diagnosis(findings=findings, host=host)
