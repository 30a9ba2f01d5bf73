"""The commands that help to decide: which forecast to trust, what to ask, whom to contact, and whether it helped."""

import json
from pathlib import Path
from typing import Annotated

import typer

from features.instants import read_instant
from patron_options import (
    JsonOption,
    ProfileArgument,
    QuarantineOption,
    make_tracker,
    open_to_score,
    open_valid,
    read_settings,
)
from patron_tables import emit, progress, show_backtest, show_plan, show_suggestion, show_uplift


def plan(
    source: Annotated[str, typer.Argument(help="Profile to score, or folder of scores of a batch run.")],
    config: Annotated[Path, typer.Option(help="plan.yaml with actions, budget, rules and control group.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet or CSV file for the contact list.")],
    at: Annotated[str, typer.Option("--at", help="Prediction time for a profile; default: all that it knows.")] = "",
    profile: Annotated[str, typer.Option(help="Beside scores: the profile that says who was contacted.")] = "",
    learned: Annotated[
        Path | None,
        typer.Option("--uplift", help="Folder of patron uplift for uplift: true; default: in the state folder."),
    ] = None,
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose whom to contact with what, and whom to hold back as a control group."""
    from features.engine.builder import write_table  # noqa: PLC0415
    from features.flat import is_flat  # noqa: PLC0415
    from serving.plan import for_people, make_plan  # noqa: PLC0415
    from serving.plan_config import read_plan  # noqa: PLC0415
    from serving.plan_source import (  # noqa: PLC0415
        customers_of_profile,
        customers_of_scores,
        read_learners,
        scores_file,
    )

    wanted, instant = read_plan(config), read_instant(at, "--at") if at else None
    file = scores_file(source)
    if file and (at or learned):
        raise typer.BadParameter("--at and --uplift are for a profile; scores have a prediction time, and no features")
    if is_flat(source) and not at:
        raise typer.BadParameter("a table without dates does not say when it was taken: give it with --at")
    if profile and not file:
        raise typer.BadParameter("--profile is for scores; a profile knows who was contacted")
    with progress("plan") as step:
        if file:
            step("reading the scores")
            who = (lambda: open_valid(profile, quarantine)) if profile else None
            customers = customers_of_scores(file, wanted.rules, who)
        else:
            from serving.loader import load_champions  # noqa: PLC0415
            from serving.scorer import Scorer  # noqa: PLC0415

            settings = read_settings()
            learners = read_learners(wanted, config, learned or settings.uplift)
            step("loading the champions")
            scorer = Scorer(load_champions(settings.tracking_uri, settings.cache))
            step("scoring the profile")
            opened = open_to_score(source, quarantine, "", scorer)
            customers = customers_of_profile(opened, instant, scorer, wanted.rules, learners, settings.language)
        step("choosing")
        made = make_plan(customers, wanted)
        write_table(for_people(made.contacts) if output.suffix == ".csv" else made.contacts, output)
    emit({"output": str(output), **made.summary}, as_json, lambda: show_plan(made.summary, output))


def uplift(
    profile: ProfileArgument,
    campaign: Annotated[str, typer.Option(help="The campaign; by default all with a control group together.")] = "",
    horizon_days: Annotated[int, typer.Option(help="How long after the contact the outcome is counted.")] = 90,
    outcome: Annotated[
        str, typer.Option(help="order: whether there was one; margin: what the orders brought.")
    ] = "order",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the learner; default: in the state folder.")
    ] = None,
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from a campaign with a control group what contacts change, and for whom."""
    from training.experiment import ExperimentConfig  # noqa: PLC0415
    from training.uplift import fit_uplift, keep_uplift  # noqa: PLC0415

    config = ExperimentConfig(campaign or None, horizon_days, outcome)
    folder = output or read_settings().uplift
    with progress("uplift") as step:
        step("reading the profile")
        result = fit_uplift(open_valid(profile, quarantine), config, step)
        run_id = keep_uplift(result, folder, make_tracker())
    document = {"output": str(folder), "run_id": run_id, **result.document}
    emit(document, as_json, lambda: show_uplift(document))


def suggest_window(profile: ProfileArgument, quarantine: QuarantineOption = None, as_json: JsonOption = False) -> None:
    """Propose whom to ask about churn, how far ahead and after how long a gap or grace, with the reasons."""
    from training.windows.suggest import suggest  # noqa: PLC0415

    with progress("suggesting a window") as step:
        step("reading the profile")
        opened = open_valid(profile, quarantine)
        step("looking at how long customers wait")
        found = suggest(opened)
    emit(found.document(profile), as_json, lambda: show_suggestion(found, profile))


def backtest(
    profile: ProfileArgument,
    horizon_days: Annotated[int, typer.Option(help="How far to forecast, at most a quarter of the history.")] = 90,
    origins: Annotated[int, typer.Option(min=1, help="From how many earlier dates to forecast, at most.")] = 3,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Also write the document as JSON.")] = None,
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let every family of lifetime value and the naive forecasts compete from earlier dates."""
    from features.page import write_whole  # noqa: PLC0415
    from training.config import make_config  # noqa: PLC0415
    from training.evaluation.backtest import backtest as run  # noqa: PLC0415

    settings = make_config(horizon_days=horizon_days)
    with progress("backtest") as step:
        step("reading the profile")
        opened = open_valid(profile, quarantine)
        found = run(opened, settings, opened.known_until, count=origins, progress=step)
    document = found.document()
    if output:
        write_whole(output, json.dumps(document, indent=1) + "\n")
    emit(document, as_json, lambda: show_backtest(found))
