"""The model card: what a version is for, what it was made of, how good it is, and where it may not be used."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from features import __version__
from features.instants import write_instant
from features.page import templates
from models.families import RANKED, Task
from training.evaluation.grade import rule_of
from training.reporting.headlines import HEADLINES, TITLES
from training.reporting.sections import Section, backtest_section, group_section, proof_sections, with_interval
from training.result import FitResult

FACTORS_SHOWN = 10

USES: Mapping[Task, str] = {
    "churn": "Teams that care for customers may use it to see who is likely to leave, and to choose whom to contact, "
    "with a control group that is not contacted.",
    "propensity": "Teams that care for customers may use it to choose to whom an offer or a message is relevant, "
    "with a control group that gets none.",
    "clv": "Teams that plan budgets for winning and keeping customers may use it to see what customers are worth, one "
    "by one, by segment and in total.",
    "segments": "Teams that plan for groups of customers may use it to see who is alike, and to speak to each group in "
    "its own way.",
}
LIMITS: Mapping[Task, tuple[str, ...]] = {
    "churn": (
        "A probability says who may leave, not that contacting them helps: that only an experiment can show.",
        "Factors and reasons are associations among customers, not causes.",
    ),
    "propensity": (
        "A probability says who may do it, not that asking them makes them: that only an experiment can show.",
        "Factors and reasons are associations among customers, not causes.",
    ),
    "clv": (
        "Value is expected over the horizon and conditional on how customers were treated so far.",
        "A model of the BG/NBD kind gives every customer with a single order a probability of 1 to be active.",
        "The value of an order is taken to be independent of how often a customer orders.",
    ),
    "segments": ("Customers differ by degrees: those near a border might as well be in the next segment.",),
}
NEVER = (
    "It may not be used for decisions with legal or similarly grave effect on a person (credit, insurance, employment, "
    "refusal of service), nor by anyone who may not see the customers' data."
)


def write_card(result: FitResult, folder: Path) -> tuple[Path, Path]:
    """Write the card of a fitted model.

    Parameters
    ----------
    result : FitResult
        All that the card says comes from it.
    folder : Path
        Gets ``model_card.md`` and ``model_card.html``.

    Returns
    -------
    tuple of Path
        Both files.
    """
    facts: dict[str, Any] = {"title": _title(result), "sections": list(_sections(result)), "grade": result.grade}
    facts["simulated"] = result.final.contract.is_simulated
    files = []
    for suffix, escaped in (("md", False), ("html", True)):
        environment = templates(Path(__file__).with_name("templates"), cell=lambda text: text.replace("|", r"\|"))
        environment.autoescape = escaped
        file = folder / f"model_card.{suffix}"
        file.write_text(environment.get_template(f"card.{suffix}.j2").render(facts), encoding="utf-8")
        files.append(file)
    return files[0], files[1]


def _title(result: FitResult) -> str:
    return f"{TITLES[result.task]}: {result.family.name}"


def _sections(result: FitResult) -> Iterator[Section]:
    yield _prediction(result)
    yield Section("Who may use it, and who may not", (USES[result.task], NEVER))
    yield _data(result)
    yield _figures(result)
    yield from backtest_section(result.backtest.document() if result.backtest else None)
    yield from proof_sections(result.metrics, result.evaluated_on, result.examined.fairness)
    yield from group_section("Slices", result.slices, "slice", ("skill",))
    yield from _factors(result)
    yield Section("Limits", points=(*result.warnings, *LIMITS[result.task]))
    yield _recipe(result)


def _prediction(result: FitResult) -> Section:
    contract = result.final.contract
    score = RANKED.get(result.task, "segment")
    points = [
        f"Prediction: {contract.label}.",
        f"Score: {score}.",
        f"Asked of: customers who are {contract.eligible!r}.",
    ]
    if contract.horizon_days:
        gap = f", from {contract.gap_days} days after the prediction time" if contract.gap_days else ""
        points.append(f"Horizon: {contract.horizon_days} days{gap}.")
    return Section("What it predicts", points=tuple(points))


def _data(result: FitResult) -> Section:
    contract = result.final.contract
    until = f" Known before {write_instant(contract.cutoff)}." if contract.is_dated else ""
    words = f"Learned from {contract.customers:,} customers of {result.source or 'a profile'}.{until}"
    columns = ("split", "prediction times", "label window", "rows", "customers")
    rows = []
    for split in result.splits:
        times = split["prediction_times"]
        shown = f"{times[0]} to {times[-1]} ({len(times)})" if len(times) > 1 else (times or ["undated"])[0]
        rows.append((split["split"], shown, split["label_window"], f"{split['rows']:,}", f"{split['customers']:,}"))
    return Section(
        "Data and period", (words, f"SHA-256 of the data: {contract.data_digest}."), (), columns, tuple(rows)
    )


def _figures(result: FitResult) -> Section:
    on, metrics = result.evaluated_on, result.metrics
    words = (
        f"Grade {result.grade}: {rule_of(result.grade, result.task)}.",
        f"Of the loss of its baseline {result.compared.name} it takes away {result.skill.words()}, on the split {on}.",
    )
    rows = [
        (words, with_interval(metrics, f"{on}/{name}"), with_interval(metrics, f"baseline/{name}"), hint)
        for name, words, hint in HEADLINES[result.task]
        if f"{on}/{name}" in metrics
    ]
    return Section("How good it is", words, (), ("figure", "model", "baseline", ""), tuple(rows))


def _factors(result: FitResult) -> Iterator[Section]:
    table = result.examined.factors.head(FACTORS_SHOWN)
    if len(table):
        rows = tuple((str(row.factor), f"{row.share:.1%}", str(row.direction)) for row in table.itertuples())
        words = "Mean size of contributions, in log-odds of the calibrated probability; association, not cause."
        yield Section("What drives it", (words,), (), ("factor", "share", "direction"), rows)


def _recipe(result: FitResult) -> Section:
    contract = result.final.contract
    doc = (result.family.build.__doc__ or "").strip().splitlines()[0]
    points = [f"{name} = {value}" for name, value in result.params.items() if value not in ("", None)]
    points += [f"features: {len(contract.features)}, fingerprint {contract.fingerprint}", f"Patron {__version__}"]
    if result.searched is not None:
        tried = len(result.searched.trials)
        points.append(f"settings: the best of {tried} trials, chosen on customers known before the cutoff")
    return Section("How it was made", (doc,), tuple(points))
