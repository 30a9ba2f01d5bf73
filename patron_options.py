"""What the commands have in common: their arguments, and what most of them open first."""

import os
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
TaskArgument = Annotated[str, typer.Argument(help="churn, clv or segments.")]


def read_settings() -> Any:
    """Where state lives, from the environment."""
    from serving.settings import Settings  # noqa: PLC0415

    return Settings()


def open_valid(profile: str, quarantine: Path | None) -> Any:
    """Open a valid profile and say on stderr what was left out of it."""
    from features.profile import open_profile  # noqa: PLC0415

    opened = open_profile(profile, quarantine)
    for name, count in opened.counts.items():
        if count.read > count.used:
            err.print(
                f"{name}: {count.read:,} rows read = {count.used:,} used + {count.quarantined:,} quarantined + "
                f"{count.out_of_scope:,} out of scope",
                highlight=False,
            )
    return opened


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
