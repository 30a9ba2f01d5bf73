"""The data usability report: everything there is to know about a profile before anything is learned from it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.errors import MissingTable, TableUnreadable
from features.finding import Finding, by_severity
from features.population import Population, count_population
from features.profile import Profile, examine_profile
from features.reading.check import TableSummary
from features.reading.quarantine import Counts
from features.usability.content import ColumnFacts, examine_content
from features.usability.scores import Score, score_tables
from features.usability.sufficiency import DEFAULT_HORIZON_DAYS, Sufficiency, judge_sufficiency
from features.usability.sufficiency_beside_orders import judge_labels, judge_subscribers
from features.usability.timing import Delay, Volume, examine_time

STEPS = {
    "read": "Read: tables, columns and rows that are there",
    "types": "Types: whether cells can be read as what they are",
    "rows": "Rows: rules that each row keeps by itself",
    "sets": "Sets: duplicates and currencies",
    "links": "Links: ids that lead to a customer",
    "time": "Time: dates, delays, staleness, gaps and breaks",
    "content": "Content: constants, identifiers, columns written afterwards",
    "enough": "Enough: customers, events and history for each task",
}


@dataclass(frozen=True)
class Usability:
    """What a profile is good for.

    Parameters
    ----------
    source : str
        The profile.
    is_valid, is_simulated : bool
        Whether it keeps the contract; whether it was simulated.
    summaries : tuple of TableSummary
        Size and period of each table.
    counts : dict of str to Counts
        Where the rows of each table went.
    findings : tuple of Finding
        Errors first; each names its step.
    scores : tuple of Score
        Completeness, contact accuracy, sales accuracy.
    delays : tuple of Delay
        How late rows arrive.
    volumes : tuple of Volume
        Rows by week.
    columns : tuple of ColumnFacts
        What the columns hold.
    tasks : tuple of Sufficiency
        Whether there is enough for each task.
    population : Population or None
        Customers by population at the end of the profile; None where nothing tells them apart.
    """

    source: str
    is_valid: bool
    is_simulated: bool
    summaries: tuple[TableSummary, ...]
    counts: dict[str, Counts]
    findings: tuple[Finding, ...]
    scores: tuple[Score, ...]
    delays: tuple[Delay, ...]
    volumes: tuple[Volume, ...]
    columns: tuple[ColumnFacts, ...]
    tasks: tuple[Sufficiency, ...]
    population: Population | None = None

    def by_step(self) -> dict[str, list[Finding]]:
        """The findings of each step that has any."""
        found = {step: [finding for finding in self.findings if finding.step == step] for step in STEPS}
        return {step: findings for step, findings in found.items() if findings}

    def document(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "profile": self.source,
            "valid": self.is_valid,
            "is_simulated": self.is_simulated,
            "tables": [{**vars(s), "counts": asdict(self.counts[s.table])} for s in self.summaries],
            "findings": [{**finding.document(), "message": finding.message()} for finding in self.findings],
            "scores": [score.document() for score in self.scores],
            "entry_delay_days": [asdict(delay) for delay in self.delays],
            "weekly_rows": [asdict(volume) for volume in self.volumes],
            "columns": [asdict(column) for column in self.columns],
            "tasks": [task.document() for task in self.tasks],
            "population": self.population.document() if self.population else None,
        }


def assess(profile: Profile, horizon_days: int = DEFAULT_HORIZON_DAYS) -> Usability:
    """Assess a profile, valid or not.

    Parameters
    ----------
    profile : Profile
        As `examine_profile` gives it.
    horizon_days : int
        How far ahead the tasks would predict.

    Returns
    -------
    Usability
        The report; everything in it is counted where the tables lie.
    """
    of_time, delays, volumes = examine_time(profile)
    of_content, columns = examine_content(profile)
    tasks = _judge(profile, horizon_days)
    of_tasks = [finding for task in tasks for finding in task.findings()]
    return Usability(
        profile.source,
        all(finding.severity != "error" for finding in profile.findings),
        profile.is_simulated,
        profile.summaries,
        dict(profile.counts),
        tuple(by_severity([*profile.findings, *of_time, *of_content, *of_tasks])),
        tuple(score_tables(profile, columns)),
        tuple(delays),
        tuple(volumes),
        tuple(columns),
        tuple(tasks),
        count_population(profile),
    )


def _judge(profile: Profile, horizon_days: int) -> list[Sufficiency]:
    """Each task; churn by a label or of subscribers takes the place of churn of orders where there are no orders."""
    tasks = judge_sufficiency(profile, horizon_days)
    beside = judge_labels(profile) or judge_subscribers(profile, horizon_days)
    has_orders = any(summary.first for summary in profile.summaries if summary.table == "orders")
    return [*beside, *(task for task in tasks if has_orders or not beside or task.task != "churn")]


def assess_source(source: str, quarantine: Path | None = None, now: datetime | None = None) -> Usability:
    """Open a profile and assess it; where it cannot be read whole, that is the report's only finding.

    Parameters
    ----------
    source, quarantine, now
        As for `features.profile.examine_profile`.

    Raises
    ------
    ProfileNotFound, MappingInvalid
        If there is nothing to assess.
    """
    try:
        return assess(examine_profile(source, quarantine, now))
    except (MissingTable, TableUnreadable) as problem:
        finding = Finding(
            "error", problem.table, "", problem.rule, 0, 0, problem.found, problem.allowed, problem.remedy, "read"
        )
        return Usability(source, False, False, (), {}, (finding,), (), (), (), (), (), None)
