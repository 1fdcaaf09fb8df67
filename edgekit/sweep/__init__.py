"""Models × recipes × threads × devices, which goes on where it was stopped.

It stands above the layers that it joins, like the command line: nothing but the command line imports it.
"""

from edgekit.sweep.plan import Sweep
from edgekit.sweep.run import SWEEP, SweepReport, sweep
from edgekit.sweep.site import Here, Site

__all__ = ["SWEEP", "Here", "Site", "Sweep", "SweepReport", "sweep"]
