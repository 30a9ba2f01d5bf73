"""What can go wrong between a company's data and a feature table, one class per failure.

Every message is one line: what was wrong, what was found, what is allowed, what to do.
"""

from collections.abc import Iterable, Sequence

from features.finding import Finding


def listed(names: Iterable[object], limit: int = 5) -> str:
    """Write at most `limit` names as ``'a', 'b' and 3 more``."""
    items = list(names)
    shown = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown


class PatronError(Exception):
    """Base of everything Patron refuses to do; the message is one line meant for a person."""


class ProfileNotFound(PatronError):
    """The profile's address leads nowhere, or to something that is not a profile."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(
            f"cannot read a profile from {source!r}: {found}. Allowed: a folder of <table>.parquet, "
            ".csv or .csv.gz, a .duckdb file, a profile.yaml, or an Ibis connection URL. Check the path."
        )


class TableUnreadable(PatronError):
    """A file of the profile exists and cannot be read as what its name says."""

    def __init__(
        self,
        table: str,
        path: str,
        reason: str,
        allowed: str = "a complete Parquet file or a CSV with a header row",
        remedy: str = "Write the file again.",
    ) -> None:
        self.table, self.rule, self.found = table, f"{path!r} cannot be read", reason
        self.allowed, self.remedy = allowed, remedy
        super().__init__(f"table {table!r}: {self.rule} ({reason}). Allowed: {self.allowed}. {self.remedy}")


class TableMisencoded(TableUnreadable):
    """A CSV file is text in another encoding than it is read in."""

    def __init__(self, table: str, path: str, found: str, likely: str) -> None:
        self.path, self.likely = path, likely
        remedy = (
            f"Save it as UTF-8, or map it by a profile.yaml with the source {{files: {path}, encoding: {likely}}}, if "
            "that is what it is in; patron profile init proposes one."
        )
        super().__init__(table, path, found, "a CSV in UTF-8", remedy)


class MappingInvalid(PatronError):
    """A `profile.yaml` says something that cannot be done."""

    def __init__(self, file: str, place: str, line: int | None, found: str, allowed: str) -> None:
        where = ", ".join(([f"line {line}"] if line else []) + ([place] if place else []))
        super().__init__(f"{file}{': ' if where else ''}{where}: found {found}. Allowed: {allowed}. Correct it there.")


class SourceUnreadable(PatronError):
    """A source of a `profile.yaml` cannot be read."""

    def __init__(self, name: str, where: str, reason: str) -> None:
        super().__init__(
            f"source {name!r}: {where!r} cannot be read ({reason}). Allowed: Parquet or CSV files with a header row, a "
            "DuckDB file, an Ibis connection URL or spark://..., with the named table. Check sources in profile.yaml."
        )


class SourceMisencoded(PatronError):
    """A file of a `profile.yaml` is text in another encoding than its source says."""

    def __init__(self, name: str, path: str, found: str, likely: str) -> None:
        super().__init__(
            f"source {name!r}: {path!r} cannot be read ({found}). Allowed: CSV in the encoding that the source names, "
            f"UTF-8 without one. Set sources.{name}.encoding in profile.yaml, to {likely} if that is what it is in."
        )


class NothingToPropose(PatronError):
    """No mapping can be proposed for tables in which nothing names a customer."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"no column names the customer; found the columns {found}. Recognised: {known}, in any spelling. "
            "Rename the column, or write profile.yaml by hand as in examples/."
        )


class FlatTableUnusable(PatronError):
    """A table of one row a customer does not hold what is asked of it."""

    def __init__(self, source: str, found: str, allowed: str, remedy: str) -> None:
        super().__init__(f"table {source!r} cannot be used: {found}. Allowed: {allowed}. {remedy}")


class AttributeUnusable(PatronError):
    """A customer was sent without a column that a model takes, or with something else in it."""

    def __init__(self, column: str, found: str, allowed: str) -> None:
        super().__init__(f"customer attribute {column}: {found}. Allowed: {allowed}. Correct the request.")


class EventUnreadable(PatronError):
    """What shall be predicted is not a condition on the facts of one table."""

    def __init__(self, text: str, found: str, allowed: str) -> None:
        super().__init__(f"event {text!r} cannot be read: {found}. Allowed: {allowed}. Correct --event.")


class ContractBroken(PatronError):
    """The profile breaks the contract; carries every finding, shows the first."""

    def __init__(self, findings: Sequence[Finding], source: str) -> None:
        self.findings = tuple(findings)
        more = len(self.findings) - 1
        tail = f" ({more} more finding{'s' if more > 1 else ''}: patron check {source})" if more else ""
        super().__init__(f"{self.findings[0].message()}{tail}")


class MissingTable(PatronError):
    """A table that the work at hand needs is not in the profile."""

    def __init__(self, table: str, needed_for: str, found: Iterable[str]) -> None:
        self.table, self.rule = table, f"the table is missing: {needed_for} needs it"
        self.found, self.allowed = listed(sorted(found)) or "no table", "a profile with this table"
        self.remedy = f"Add {table}.parquet, .csv or .csv.gz to the profile."
        super().__init__(f"table {table!r} is missing: {needed_for} needs it. Found: {self.found}. {self.remedy}")


class MissingColumn(PatronError):
    """A feature asks for an optional column that this profile does not have: not for this profile."""

    def __init__(self, table: str, column: str) -> None:
        self.table = table
        self.column = column
        super().__init__(f"column {table}.{column} is missing; add it to use the features built on it.")


class FeaturesUnavailable(PatronError):
    """Features that a model was fitted on cannot be built from this profile."""

    def __init__(self, reasons: dict[str, str], needed_by: str) -> None:
        first, reason = next(iter(reasons.items()))
        super().__init__(
            f"{needed_by} needs {len(reasons)} feature(s) that this profile cannot give: {listed(reasons)}; "
            f"{first!r} lacks {reason}. Add the missing table or column, or train on this profile."
        )


class FeatureDeclarationError(PatronError):
    """A feature or feature set is declared wrongly; raised at import."""

    def __init__(self, name: str, problem: str, allowed: str, remedy: str) -> None:
        super().__init__(f"feature {name!r}: {problem}. Allowed: {allowed}. {remedy}")


class UnknownName(PatronError):
    """A name that stands in no table of ours was asked for."""

    def __init__(self, what: str, found: str, allowed: Iterable[str]) -> None:
        super().__init__(f"unknown {what} {found!r}. Allowed: {listed(sorted(allowed), 20)}.")


class InstantUnreadable(PatronError):
    """A date given by a person is not one instant."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(
            f"{name} {found!r} is not an instant. Allowed: a date such as 1997-10-01 (midnight UTC) or an ISO "
            "8601 time with its offset such as 1997-10-01T12:00:00+00:00."
        )


class EmptyCohort(PatronError):
    """There is nobody to work on at this prediction time."""

    def __init__(self, prediction_time: str, found: str, remedy: str) -> None:
        super().__init__(
            f"no customer to work on at prediction time {prediction_time}: {found}. Allowed: at least one "
            f"customer known by then. {remedy}"
        )


class OutputUnwritable(PatronError):
    """The output cannot be written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot write {path!r}: {reason}. Allowed: a folder that can be written. Choose another -o.")


class OutputTaken(PatronError):
    """Where the output is to go lies something that no run of Patron wrote."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(
            f"cannot replace {path!r}: it {found}, which no run of Patron wrote there. Allowed: a folder that is new "
            "or empty, or the output of an earlier run. Choose another -o; nothing was changed."
        )


class SparkMissing(PatronError):
    """Spark was asked for on a machine that cannot run it."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"Apache Spark cannot start: {found}. Allowed: pyspark 4.0 and Java 17 or 21. Run: pip install "
            "'patron[spark]', and install a Java runtime (Debian: openjdk-17-jre-headless), or leave Spark out."
        )


class EngineUnfit(PatronError):
    """A profile lies where the engine that was asked for cannot go."""

    def __init__(self, engine: str, what: str) -> None:
        super().__init__(
            f"engine {engine!r} does not read {what}. Allowed: a folder of Parquet tables, a profile.yaml, or "
            "spark://.... Name it as a source in a profile.yaml, or leave --engine out."
        )


class LayoutUnwritable(PatronError):
    """Mapped tables cannot be laid out where Spark shall read them."""

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(
            f"cannot lay the mapped tables out for Spark in {folder!r}: {reason}. Allowed: a folder that every "
            "executor can read, with room for the tables. Set TMPDIR to one."
        )


class SparkFailed(PatronError):
    """Spark stopped in the middle of its work."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"Spark stopped: {said}. Allowed: a job that ends. Look into the log of the driver and the executors."
        )


class QuarantineUnsupported(PatronError):
    """Rows cannot be set aside where the profile lies."""

    def __init__(self, engine: str) -> None:
        super().__init__(
            f"rows of a profile on {engine!r} cannot be quarantined. Allowed: a folder, a DuckDB file or tables in "
            "memory. Copy the tables into a folder, or correct the rows."
        )


class QuarantineUnwritable(PatronError):
    """The quarantined rows cannot be written."""

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(
            f"cannot quarantine rows into {folder!r}: {reason}. Allowed: a folder of its own that can be written. "
            "Choose another --quarantine."
        )
