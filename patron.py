"""The `patron` command: parses what a person wrote, calls one function, prints what it returns."""

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from features.errors import PatronError
from features.instants import read_instant, write_instant
from patron_decide import backtest, plan, suggest_window, uplift
from patron_options import (
    AtOption,
    EventOption,
    IdOption,
    JsonOption,
    LabelOption,
    LanguageOption,
    ProfileArgument,
    QuarantineOption,
    ReasonsOption,
    SearchOption,
    TaskArgument,
    make_tracker,
    open_flat_of,
    open_to_learn,
    open_to_score,
    open_valid,
    read_settings,
    read_task,
    read_telling,
)
from patron_tables import (
    emit,
    err,
    lacking,
    out,
    plain,
    progress,
    show_decision,
    show_demo,
    show_features,
    show_scored,
    show_trained,
    show_usability,
)

# what a command needs is imported inside it: `patron --help` answers at once, and scoring does not load the tracker
app = typer.Typer(
    name="patron",
    help="Customer churn, lifetime value and segments from the unified customer profile.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> NoReturn:
    """Run the command; every failure is one line and a code: 1 refused or failed, 2 wrong usage."""
    _quiet()
    try:
        app()
    except PatronError as problem:
        err.print(f"[bold red]error[/]: {plain(str(problem))}", highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        err.print("stopped")
    except Exception as problem:
        if os.environ.get("PATRON_TRACEBACK"):
            raise
        line = str(problem).splitlines()[0] if str(problem) else ""
        err.print(
            f"[bold red]error[/]: this should not have happened: {type(problem).__name__}: {plain(line)}. Run it "
            "again with PATRON_TRACEBACK=1 and report what it prints.",
            highlight=False,
            soft_wrap=True,
        )
    sys.exit(1)


def _quiet() -> None:
    """Keep telemetry off and other libraries' chatter away from the person's terminal."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    for name in ("mlflow", "alembic", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@app.command()
def check(
    profile: ProfileArgument,
    html: Annotated[Path | None, typer.Option(help="Also write the report as this HTML file.")] = None,
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a profile against the contract and say what it is good for."""
    from features.usability.page import write_page  # noqa: PLC0415
    from features.usability.report import assess_source  # noqa: PLC0415

    with progress("checking") as step:
        step("reading the profile, and what it is good for")
        found = assess_source(profile, quarantine, datetime.now(UTC))
        if html:
            write_page(found, html)
    emit(found.document(), as_json, lambda: show_usability(found, html))
    if not found.is_valid:
        raise typer.Exit(1)


@app.command()
def features(
    profile: Annotated[
        str, typer.Argument(help="Folder, profile.yaml, DuckDB file or connection URL of the profile.")
    ] = "",
    at: AtOption = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Parquet or CSV file; on Spark a folder.")
    ] = None,
    feature_set: Annotated[
        str, typer.Option(help="all, churn, clv, clv_contractual, clv_hybrid, segments or propensity.")
    ] = "all",
    describe: Annotated[bool, typer.Option("--describe", help="Say what the features are; needs no profile.")] = False,
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the feature table of a profile at a prediction time."""
    if describe:
        _describe(feature_set, as_json)
        return
    if not (profile and at and output):
        raise typer.BadParameter("a profile, --at and -o are needed, or --describe")
    from features.catalogue import feature_set as named  # noqa: PLC0415
    from features.engine.builder import available, write_features  # noqa: PLC0415

    instant = read_instant(at, "--at")
    wanted = named(feature_set)
    with progress("features") as step:
        step("reading the profile")
        opened = open_valid(profile, quarantine)
        step("building")
        found = available(opened, wanted)
        rows = write_features(opened, found.features, [instant], output)
    document = {
        "output": str(output),
        "prediction_time": write_instant(instant),
        "customers": rows,
        "features": list(found.features.names),
        "absent": dict(found.absent),
        "fingerprint": found.features.fingerprint,
    }

    def show() -> None:
        out.print(f"{rows:,} customers, {len(found.features.names)} features -> {output}", highlight=False)
        if found.absent:
            out.print(
                f"{len(found.absent)} features are absent; the profile lacks: {lacking(found.absent)}", highlight=False
            )

    emit(document, as_json, show)


def _describe(feature_set: str, as_json: bool) -> None:
    from features.catalogue import feature_set as named  # noqa: PLC0415
    from features.describe import describe  # noqa: PLC0415

    rows = describe(named(feature_set).features)
    emit(rows, as_json, lambda: show_features(rows))


@app.command()
def train(
    task: TaskArgument,
    profile: ProfileArgument,
    family: Annotated[str, typer.Option(help="Train this family; by default all of the task compete.")] = "",
    cutoff: Annotated[
        str, typer.Option(help="Learn from before, evaluate on after; default: one horizon before the end.")
    ] = "",
    horizon_days: Annotated[int | None, typer.Option(help="How far ahead to predict; 90 by default.")] = None,
    config: Annotated[str, typer.Option(help="YAML file with settings.")] = "",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, e.g. model.num_leaves=15.")
    ] = None,
    refit: Annotated[bool, typer.Option(help="Learn once more from everything known before registering.")] = True,
    label: LabelOption = "",
    id_column: IdOption = "",
    event: EventOption = "",
    search_minutes: SearchOption = None,
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a task, evaluate it out of time and register the winner as challenger."""
    from training.config import make_config, read_assignments  # noqa: PLC0415
    from training.job import train as run  # noqa: PLC0415

    chosen = read_task(task)
    settings = make_config(
        Path(config) if config else None,
        read_assignments(assignments or []),
        cutoff=read_instant(cutoff, "--cutoff") if cutoff else None,
        horizon_days=horizon_days,
        refit=None if refit else False,
        label=label or None,
        id_column=id_column or None,
        event=event or None,
        search_minutes=search_minutes,
    )
    with progress(f"training {task}") as step:
        step("reading the profile")
        opened = open_to_learn(profile, quarantine, settings.label, settings.id_column)
        trained = run(chosen, opened, settings, make_tracker(), family or None, step)
    emit(trained[0].document(), as_json, lambda: show_trained(trained))


app.command()(backtest)


@app.command()
def promote(
    task: TaskArgument,
    version: Annotated[str, typer.Option(help="Which version; by default the challenger.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion if it passes the gates."""
    from training.promote import promote as run  # noqa: PLC0415

    tracker = make_tracker()
    decision = run(read_task(task), tracker.uri, version or None)
    emit(decision.document(), as_json, lambda: show_decision(decision))
    if not decision.promoted:
        from training.errors import NotPromoted  # noqa: PLC0415

        raise NotPromoted(decision.task, decision.version, decision.failed)


@app.command()
def score(
    profile: ProfileArgument,
    at: AtOption,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write; default: in the state folder.")
    ] = None,
    quarantine: QuarantineOption = None,
    engine: Annotated[str, typer.Option(help="duckdb or spark; default: spark for a spark:// profile.")] = "",
    id_column: IdOption = "",
    reasons: ReasonsOption = "top",
    language: LanguageOption = "",
    as_json: JsonOption = False,
) -> None:
    """Score every customer with the champions and fill the online store."""
    from features.profile import address_for  # noqa: PLC0415
    from serving.loader import load_champions  # noqa: PLC0415
    from serving.scorer import Scorer  # noqa: PLC0415

    instant = read_instant(at, "--at")
    settings = read_settings()
    folder = output or settings.scores
    told = read_telling(reasons, language)
    address = address_for(profile, engine)
    with progress("scoring") as step:
        step("loading the champions")
        scorer = Scorer(load_champions(settings.tracking_uri, settings.cache))
        step("reading the profile")
        opened = open_to_score(address, quarantine, id_column, scorer)
        step("building features and scoring")
        if opened.backend.name == "pyspark":
            from serving.spark import score_on_spark  # noqa: PLC0415

            manifest = score_on_spark(opened, instant, folder, scorer, *told)
            step("done; the online store is left as it was: no row comes here from Spark")
        else:
            from serving.batch import score_profile  # noqa: PLC0415

            manifest = score_profile(opened, instant, folder, scorer, settings.online_store, *told)

    emit({"output": str(folder), **manifest.document()}, as_json, lambda: show_scored(manifest, folder))


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve scores over HTTP until stopped."""
    from serving.errors import AddressInUse  # noqa: PLC0415
    from serving.probe import is_free, serve_command, serve_environment  # noqa: PLC0415

    if not is_free(host, port):
        raise AddressInUse(host, port)
    settings = read_settings()
    shown = f"[{host}]" if ":" in host else host
    err.print(f"serving on http://{shown}:{port}, ready once /readyz answers 200; stop with Ctrl-C", highlight=False)
    sys.stderr.flush()
    command = serve_command(port, host)
    os.execve(command[0], command, serve_environment(settings))  # noqa: S606 - becomes the server: who ends it, ends it


@app.command()
def report(
    profile: ProfileArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    scores: Annotated[str, typer.Option(help="Folder of a batch run; default: the last in the state folder.")] = "",
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML report on the champions, the scores and the data."""
    from features.flat import is_flat  # noqa: PLC0415
    from training.promote import champion_runs  # noqa: PLC0415
    from training.reporting.report import write_report  # noqa: PLC0415

    settings = read_settings()
    last = Path(scores) if scores else settings.scores if settings.scores.is_dir() else None
    with progress("report"):
        opened = None if is_flat(profile) else open_valid(profile, quarantine)  # before a store is made
        runs = champion_runs(make_tracker().uri)
        write_report(opened or open_flat_of(profile, runs), runs, output, last)
    emit({"output": str(output)}, as_json, lambda: out.print(f"report -> {output}", highlight=False))


app.command()(plan)
app.command()(uplift)
app.command("suggest-window")(suggest_window)


profile_app = typer.Typer(help="Work on the profile.yaml that maps a company's own tables.", no_args_is_help=True)
app.add_typer(profile_app, name="profile")


@profile_app.command("init")
def profile_init(
    source: Annotated[Path, typer.Argument(help="Folder of Parquet or CSV files, or a DuckDB file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; by default profile.yaml beside the data.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a profile.yaml for tables as they are; what could not be told is marked `decide`."""
    from features.mapping.propose import write_proposal  # noqa: PLC0415

    with progress("looking"):
        file, open_questions = write_proposal(source, output)
    words = f"{file}: {open_questions} lines to decide; then: patron check {file}"
    emit(
        {"output": str(file), "to_decide": open_questions},
        as_json,
        lambda: out.print(words, highlight=False, soft_wrap=True),
    )


@app.command()
def simulate(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write the profile into.")],
    customers: Annotated[int, typer.Option(help="How many customers.")] = 5_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same customers.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a simulated profile whose truth is known."""
    from training.simulation.simulate import simulate as run  # noqa: PLC0415

    with progress("simulating"):
        run(output, customers, seed)
    document = {"output": str(output), "customers": customers, "seed": seed, "is_simulated": True}
    emit(document, as_json, lambda: out.print(f"{customers:,} simulated customers -> {output}", highlight=False))


@app.command()
def demo(
    simulated: Annotated[
        bool, typer.Option("--simulated", help="On a simulated full profile instead of CDNOW.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job once: check, train, promote, score, serve, report."""
    from patron_demo import run_demo  # noqa: PLC0415

    settings = read_settings()
    with progress("demo") as step:
        done = run_demo(simulated, settings, make_tracker(), step)
    emit(done.document(), as_json, lambda: show_demo(done, settings))
    if not done.succeeded:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
