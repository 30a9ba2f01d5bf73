"""What the commands have in common: their arguments, and what most of them open first."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from patron_tables import err

ProfileArgument = Annotated[
    str, typer.Argument(help="Folder, profile.yaml, DuckDB file or connection URL of the profile.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
AtOption = Annotated[
    str, typer.Option("--at", help="Prediction time: a date (midnight UTC) or a time with its offset.")
]
QuarantineOption = Annotated[
    Path | None,
    typer.Option(help="Leave out rows that break the contract and write them into this folder, with the reason."),
]
TaskArgument = Annotated[str, typer.Argument(help="churn, clv, segments or propensity.")]
IdOption = Annotated[str, typer.Option("--id", help="The column that names the customer in a flat table.")]
LabelOption = Annotated[
    str, typer.Option(help="Churn is this label, of a flat table (a CSV or Parquet file) or of a profile.yaml.")
]
EventOption = Annotated[
    str,
    typer.Option(
        help="What propensity is asked of, e.g. \"kind = 'loyalty_redeem'\" or \"orders: category = 'Toys'\"."
    ),
]


def _read_minutes(text: str) -> float | None:
    """Nothing where nothing is given, as an MLproject entry point does."""
    return float(text) if text else None


SearchOption = Annotated[
    float | None,
    typer.Option(
        parser=_read_minutes,
        metavar="FLOAT",
        help="Search better settings of the trees for so many minutes; off by default.",
    ),
]
ReasonsOption = Annotated[
    str, typer.Option(help="Whose reasons to tell: top (the top decile by score or value at risk), all or none.")
]
LanguageOption = Annotated[str, typer.Option(help="Language of the reasons: en, ru or pl; default: PATRON_LANGUAGE.")]


def read_settings() -> Any:
    """Where state lives, from the environment."""
    from serving.settings import Settings  # noqa: PLC0415

    return Settings()


def open_valid(profile: str, quarantine: Path | None) -> Any:
    """Open a valid profile and say on stderr what was left out of it."""
    from features.profile import open_profile  # noqa: PLC0415

    opened = open_profile(profile, quarantine, datetime.now(UTC))
    for name, count in opened.counts.items():
        if count.read > count.used:
            err.print(
                f"{name}: {count.read:,} rows read = {count.used:,} used + {count.quarantined:,} quarantined + "
                f"{count.out_of_scope:,} out of scope",
                highlight=False,
            )
    return opened


def open_to_learn(profile: str, quarantine: Path | None, label: str, id_column: str) -> Any:
    """Open what a task is trained on: a profile, or a flat table with its label."""
    from features.flat import is_flat, open_flat  # noqa: PLC0415

    flat = is_flat(profile)
    return open_flat(profile, id_column or "customer_id", label) if flat else open_valid(profile, quarantine)


def open_to_score(profile: str, quarantine: Path | None, id_column: str, scorer: Any) -> Any:
    """Open what the champions score: a profile, or a flat table with the columns that a champion learned from."""
    from features.flat import is_flat, open_flat  # noqa: PLC0415

    if not is_flat(profile):
        return open_valid(profile, quarantine)
    named = _id_of(champion.contract for champion in scorer.champions.values())
    return open_flat(profile, id_column or named, wanted=scorer.features.features)


def open_flat_of(profile: str, runs: Iterable[Any]) -> Any:
    """Open the flat table that one of the champions learned from."""
    from features.flat import open_flat  # noqa: PLC0415

    return open_flat(profile, _id_of(run.contract for run in runs))


def _id_of(contracts: Iterable[Any]) -> str:
    """What names the customer in the flat table that a champion learned from."""
    names = [contract.id_column for contract in contracts]
    return next((name for name in names if name != "customer_id"), "customer_id")


def make_tracker() -> Any:
    """What writes runs to MLflow."""
    from training.tracking import Tracker  # noqa: PLC0415

    settings = read_settings()
    parent = os.environ.pop("MLFLOW_RUN_ID", None)  # set by `mlflow run`, whose own run is the parent and not ours
    return Tracker(settings.tracking_uri, settings.artifacts, parent)


def read_task(name: str) -> Any:
    """Refuse a task there is none of."""
    from features.errors import UnknownName  # noqa: PLC0415
    from models.families import TASKS  # noqa: PLC0415

    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    return name


def read_telling(which: str, language: str) -> Any:
    """Whose reasons to tell in which language; refuses what there is none of before anything else is read."""
    from features.errors import UnknownName  # noqa: PLC0415
    from serving.reasons import WHICH  # noqa: PLC0415
    from serving.wording import read_language  # noqa: PLC0415

    if which not in WHICH:
        raise UnknownName("choice of reasons", which, WHICH)
    return which, read_language(language or read_settings().language).code
