"""The commands that turn scores into decisions: whom to contact, and whether contacts made a difference."""

from pathlib import Path
from typing import Annotated

import typer

from features.instants import read_instant
from patron_options import JsonOption, QuarantineOption, open_valid, read_settings
from patron_tables import emit, progress, show_plan


def plan(
    source: Annotated[str, typer.Argument(help="Profile to score, or folder of scores of a batch run.")],
    config: Annotated[Path, typer.Option(help="plan.yaml with actions, budget, rules and control group.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet or CSV file for the contact list.")],
    at: Annotated[str, typer.Option("--at", help="Prediction time for a profile; default: all that it knows.")] = "",
    profile: Annotated[str, typer.Option(help="Beside scores: the profile that says who was contacted.")] = "",
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose whom to contact with what, and whom to hold back as a control group."""
    from features.builder import write_table  # noqa: PLC0415
    from serving.plan import make_plan  # noqa: PLC0415
    from serving.plan_config import read_plan  # noqa: PLC0415
    from serving.plan_source import customers_of_profile, customers_of_scores, scores_file  # noqa: PLC0415

    wanted, instant = read_plan(config), read_instant(at, "--at") if at else None
    file = scores_file(source)
    if file and at:
        raise typer.BadParameter("--at is for a profile; scores have their prediction time")
    with progress("plan") as step:
        if file:
            step("reading the scores")
            opened = (lambda: open_valid(profile, quarantine)) if profile else None
            customers = customers_of_scores(file, wanted.rules, opened)
        else:
            from serving.loader import load_champions  # noqa: PLC0415
            from serving.scorer import Scorer  # noqa: PLC0415

            settings = read_settings()
            step("loading the champions")
            scorer = Scorer(load_champions(settings.tracking_uri, settings.cache))
            step("scoring the profile")
            customers = customers_of_profile(open_valid(source, quarantine), instant, scorer, wanted.rules)
        step("choosing")
        made = make_plan(customers, wanted)
        write_table(made.contacts, output)
    emit({"output": str(output), **made.summary}, as_json, lambda: show_plan(made.summary, output))
