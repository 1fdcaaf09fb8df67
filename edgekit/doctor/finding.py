"""What a look at an installation gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edgekit.errors import printable


class Status(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: what was found, and what to do about it."""

    name: str
    status: Status
    detail: str
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings about this machine."""

    findings: tuple[Finding, ...]
    host: Mapping[str, Any]

    @property
    def healthy(self) -> bool:
        """Whether nothing is broken."""
        return all(f.status is not Status.BROKEN for f in self.findings)


def lines(diagnosis: Diagnosis) -> list[str]:
    """The findings as text, what to do below each; what a device says of itself cannot command the terminal."""
    width = max(len(f.name) for f in diagnosis.findings)
    found = []
    for finding in diagnosis.findings:
        found.append(f"{finding.status:<7} {finding.name:<{width}}  {printable(finding.detail)}")
        if finding.advice is not None:
            found.append(f"{'':<7} {'':<{width}}  -> {printable(finding.advice)}")
    broken = sum(f.status is Status.BROKEN for f in diagnosis.findings)
    return [*found, "Nothing is broken." if diagnosis.healthy else f"Broken: {broken}."]
