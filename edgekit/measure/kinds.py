"""Every `Kind` of measuring by its task."""

from collections.abc import Mapping

from edgekit.measure.anomaly_kind import ANOMALY_KIND
from edgekit.measure.kind import Kind
from edgekit.measure.rating_kinds import RATING_KINDS
from edgekit.measure.sequence_kinds import SEQUENCE_KINDS

KINDS: Mapping[str, Kind] = {kind.task: kind for kind in (*SEQUENCE_KINDS, ANOMALY_KIND, *RATING_KINDS)}
