"""One thing to know about a profile: where it is, what was found, and what to do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "advice"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "advice")
Step = Literal["read", "types", "rows", "sets", "links", "time", "content", "enough"]
"""What a finding is about, in the order in which a profile is looked at."""


@dataclass(frozen=True)
class Finding:
    """One thing to know about a profile.

    Parameters
    ----------
    severity : {"error", "warning", "advice"}
        An error keeps every job from starting.
    table, column : str
        Where.
    rule : str
        What was found wrong, as it reads after "rows have".
    rows, of : int
        How many rows break the rule, of how many; 0 of 0 for findings about a whole table or column.
    found : str
        An offending value, with the id of its row where there is one.
    allowed, remedy : str
        What may stand there and what to do.
    step : str
        What the finding is about: read, types, rows, sets, links, time, content or enough.
    """

    severity: Severity
    table: str
    column: str
    rule: str
    rows: int
    of: int
    found: str
    allowed: str
    remedy: str
    step: Step = "rows"

    def message(self) -> str:
        """One line: where, what, how much, an example, what is allowed, what to do."""
        where = f"{self.table}.{self.column}" if self.column else self.table
        if self.of:
            verb = "has" if self.rows == 1 else "have"
            head = f"{where}: {self.rows:,} of {self.of:,} rows {verb} {self.rule}, e.g. {self.found}"
        else:
            head = f"{where}: {self.rule}, found {self.found}"
        return f"{head}; allowed: {self.allowed}. {self.remedy}"

    def document(self) -> dict[str, str | int]:
        """The finding as plain data."""
        return asdict(self)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then advice; otherwise in the order given."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
