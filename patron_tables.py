"""What a person reads in the terminal: results of the `patron` command as tables and sentences."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

out, err = Console(), Console(stderr=True)


def plain(text: str) -> str:
    """Text that is no markup."""
    return text.replace("[", r"\[")


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Say on stderr what is being done: a spinner on a terminal, lines elsewhere."""
    if err.is_terminal:
        with err.status(what) as status:
            yield lambda step: status.update(f"{what}: {step}")
    else:
        yield lambda step: err.print(f"{what}: {step}", highlight=False)


def emit(document: Any, as_json: bool, show: Callable[[], None]) -> None:
    """Print the result: one JSON document, or what a person reads."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    else:
        show()


def table_of(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0 if len(columns) > 5 else 1)
    )
    for column in columns:
        table.add_column(column, min_width=max(map(len, column.split()), default=0), overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    out.print(table)


def show_usability(found: Any, html: Path | None) -> None:
    """Print what a profile is good for."""
    from features.population import POPULATIONS  # noqa: PLC0415
    from features.usability.report import STEPS  # noqa: PLC0415
    from features.usability.sufficiency import VERDICTS  # noqa: PLC0415

    left_out = any(count.read > count.used for count in found.counts.values())
    rows = []
    for s in found.summaries:
        count = found.counts[s.table]
        counted = [count.read, count.used, count.quarantined, count.out_of_scope] if left_out else [s.rows]
        rows.append([s.table, *(f"{n:,}" for n in counted), (s.first or "")[:10], (s.last or "")[:10]])
    counts = ["read", "used", "quarantined", "out of scope"] if left_out else ["rows"]
    title = found.source + (" (simulated)" if found.is_simulated else "")
    if rows:
        table_of(title, ["table", *counts, "from", "to"], rows)
    if found.scores:
        table_of("How far it can be trusted", ["score", "table", "share"], [
            [score.name, score.table, "none" if score.share is None else f"{score.share:.1%}"] for score in found.scores
        ])  # fmt: skip
    if found.delays:
        rows = [
            [d.table, f"{d.rows:,}", *(f"{n:,.1f}" for n in (d.median, d.p90, d.p99, d.maximum))] for d in found.delays
        ]
        table_of("Days until a row is known", ["table", "rows", "median", "90 %", "99 %", "longest"], rows)
    if found.population:
        people = found.population.customers
        rows = [[name, f"{tally:,}", POPULATIONS[name]] for name, tally in people.items()]
        table_of(f"Who they are as of {found.population.as_of}", ["population", "customers", "meaning"], rows)
    for step, findings in found.by_step().items():
        out.print(STEPS[step], style="bold")
        for finding in findings:
            out.print(f"{finding.severity}: {plain(finding.message())}", highlight=False, soft_wrap=True)
    once = "" if found.is_valid else "once the errors are corrected, "
    for task in found.tasks:
        words = f"{task.title}: {task.verdict} ({once}{VERDICTS[task.verdict]})"
        out.print(words, highlight=False, soft_wrap=True)
    if html:
        out.print(f"report -> {html}", highlight=False, soft_wrap=True)
    words = "valid" if found.is_valid else "not valid"
    out.print(words, style="bold green" if found.is_valid else "bold red")


def lacking(absent: Any) -> str:
    """The tables and columns that absent features lack, each once."""
    return ", ".join(sorted(set(absent.values())))


def surveys_words(result: Any) -> str:
    """What surveys are worth to a model, in a line; nothing where none were learned from."""
    from training.evaluation.surveys import SHOWN  # noqa: PLC0415
    from training.reporting.sections import number  # noqa: PLC0415

    found, metrics, on = "surveys/skill", result.metrics, result.evaluated_on
    loss = next((name for name in SHOWN if f"without_surveys/{name}" in metrics), None)
    if found not in metrics or loss is None:
        return ""
    with_them, without = number(metrics[f"{on}/{loss}"]), number(metrics[f"without_surveys/{loss}"])
    return (
        f"surveys take away {metrics[found]:.1%} (90 % interval {metrics[f'{found}_low']:.1%} to "
        f"{metrics[f'{found}_high']:.1%}) of the loss of the same model without them: {loss} {without} without, "
        f"{with_them} with"
    )


def show_trained(trained: Any) -> None:
    """Print how families did on the holdout, and what to do next."""
    from training.evaluation.grade import rule_of  # noqa: PLC0415
    from training.reporting.sections import number, with_interval  # noqa: PLC0415

    best = trained[0].result
    on = best.evaluated_on
    columns = [f"metric on the {on} rows", *(t.result.family.name for t in trained), "baseline"]
    names = [name.removeprefix(f"{on}/") for name in best.metrics if name.startswith(f"{on}/")]
    rows = []
    for name in names:
        if name.endswith(("_low", "_high")):  # stands beside its figure
            continue
        others = [*(t.result.metrics.get(f"{on}/{name}") for t in trained[1:]), best.metrics.get(f"baseline/{name}")]
        plainly = ["" if value is None else number(value) for value in others]
        rows.append([name, with_interval(best.metrics, f"{on}/{name}"), *plainly])
    simulated = " (simulated data)" if best.final.contract.is_simulated else ""
    table_of(f"{best.task}: {best.evaluated.contract.label}{simulated}", columns, rows)
    if best.absent:
        absent = "1 feature is" if len(best.absent) == 1 else f"{len(best.absent)} features are"
        out.print(f"{absent} absent; the profile lacks: {lacking(best.absent)}", highlight=False)
    for line in best.backtest.sentences() if best.backtest else ():
        out.print(line, highlight=False, soft_wrap=True)
    if line := surveys_words(best):
        out.print(line, highlight=False, soft_wrap=True)
    for warning in best.warnings:
        out.print(f"note: {plain(warning)}", highlight=False, soft_wrap=True)
    refitted = best.final is not best.evaluated
    contract = best.final.contract
    until = f"everything before {contract.cutoff:%Y-%m-%d}" if contract.is_dated else "the table"
    out.print(f"grade {best.grade}: {rule_of(best.grade, best.task)}", style="bold", highlight=False)
    out.print(
        f"version {trained[0].tracked.model_version} of {best.task!r} ({best.family.name}) is registered as "
        "challenger, "
        + (f"learned once more from {until}" if refitted else f"learned from {until}")
        + (". It is not to be promoted" if best.grade == "D" else f". Next: patron promote {best.task}"),
        highlight=False,
        soft_wrap=True,
    )


BACKTESTED = {
    "Orders: means over the origins, least Poisson deviance first": {
        "poisson_deviance_orders": "deviance",
        "mae_orders": "MAE",
        "rmse_orders": "RMSE",
        "correlation_orders": "corr.",
        "log_loss_no_order": "log loss",
        "bias_total_orders": "bias",
    },
    "Value, intervals and cost": {
        "gini_value": "Gini",
        "top_decile_share_value": "top tenth",
        "bias_total_value": "bias",
        "coverage_50": "in 50 %",
        "coverage_90": "in 90 %",
        "seconds": "s",
        "megabytes": "MB",
    },
}
"""What a backtest shows of each contender, under a short name, in tables that a narrow terminal holds."""


def show_backtest(found: Any) -> None:
    """Print how contenders did, the best first."""
    contenders = found.document()["table"]
    for title, figures in BACKTESTED.items():
        rows = []
        for row in contenders:
            cells = ["" if row[name] is None else f"{row[name]:{_digits(name)}}" for name in figures]
            rows.append([row["name"] + (" (naive)" if row["is_naive"] else ""), *cells])
        table_of(title, ["contender", *figures.values()], rows)
    for line in found.sentences():
        out.print(line, highlight=False, soft_wrap=True)


def _digits(name: str) -> str:
    return {"seconds": ".2f", "megabytes": ".0f"}.get(name, "+.1%" if name.startswith("bias") else ".3f")


def show_suggestion(found: Any, source: str) -> None:
    """Print what is proposed of churn, by orders and by subscriptions."""
    if found.by_orders:
        _show_by_orders(found.by_orders, source)
    if found.by_subscriptions:
        out.print("\n[bold]Subscriptions[/]")
        _show_chosen(found.by_subscriptions, ("horizon_days", "grace_days"), source)


def _show_by_orders(found: Any, source: str) -> None:
    """Print a proposed window with its reasons, and what other horizons would mean."""
    columns = ["horizon", "waits covered", "customers covered", "churned"]
    rows = [
        [f"{h.days} days", f"{h.gaps_covered:.0%}", f"{h.customers_covered:.0%}", f"{h.churned_share:.0%}"]
        for h in found.horizons
    ]
    table_of("Waiting times between orders that a horizon covers", columns, rows)
    _show_chosen(found, ("eligible", "horizon_days", "gap_days"), source)


def _show_chosen(found: Any, names: Iterable[str], source: str) -> None:
    """Print what is chosen with its reasons, and how to train with it."""
    for name in names:
        chosen = f"[bold]{name} {getattr(found, name)}[/]: {plain(found.reasons[name])}"
        out.print(chosen, highlight=False, soft_wrap=True)
    out.print(f"Next: {plain(found.command(source))}", highlight=False, soft_wrap=True)


def show_decision(decision: Any) -> None:
    """Print the gates of a promotion."""
    rows = [["passed" if gate.passed else "failed", gate.name, gate.found] for gate in decision.gates]
    table_of(f"{decision.task} version {decision.version}", ["", "gate", "found"], rows)
    if decision.promoted:
        out.print(
            f"version {decision.version} is the champion of {decision.task!r}", style="bold green", highlight=False
        )


def show_demo(done: Any, settings: Any) -> None:
    """Print what the demonstration found, and what to do next."""
    simulated = " (simulated)" if done.is_simulated else ""
    rows = []
    for task, result in done.results.items():
        skill, contract = result.skill, result.final.contract
        words = f"{skill.value:.1%} ({100 * skill.low:.1f} to {skill.high:.1%})"
        rows.append([task, contract.family, contract.label, result.grade, words])
    table_of(f"What was learned{simulated}", ["task", "family", "predicts", "grade", "skill (90 % interval)"], rows)
    out.print("skill: the share of its baseline's loss that a model takes away, on customers after the cutoff")
    for task in (task for task, promoted in done.promoted.items() if not promoted):
        out.print(f"{task}: not promoted; ask patron promote {task} why", style="bold red", highlight=False)
    for line in done.differences:
        out.print(plain(line), highlight=False, soft_wrap=True)
    same = "other scores: see above" if done.differences else "the same scores, to the last bit"
    scored = f"{done.manifest.scored:,} customers{simulated} scored as of {done.manifest.prediction_time}"
    out.print(
        f"{scored}; asked online by id and with facts, the service gave {same}. "
        f"It took {done.seconds:.0f} s.\n\nNext:\n"
        f"  open the report      {done.report}\n"
        f"  serve scores         patron serve\n"
        f"  compare runs         mlflow ui --backend-store-uri {settings.tracking_uri}\n"
        f"  your own data        patron check YOUR_PROFILE\n"
        f"The scores lie in {settings.scores}, everything else in {settings.home}.",
        highlight=False,
        soft_wrap=True,
    )


def show_features(rows: Any) -> None:
    """Print what features are."""
    for row in rows:
        out.print(f"[bold]{row['name']}[/] ({row['dtype']}, {row['unit']}, version {row['version']})", highlight=False)
        out.print(f"    {plain(row['description'])} From {row['source']}.", highlight=False, soft_wrap=True)
        out.print(f"    Null: {plain(row['null'])}.", highlight=False, soft_wrap=True)


def show_scored(manifest: Any, folder: Path) -> None:
    """Print what a batch run scored, left out, and with which models."""
    simulated = " (simulated)" if manifest.is_simulated else ""
    words = f"{manifest.cohort:,} customers = {manifest.scored:,} scored + {manifest.excluded:,} excluded"
    out.print(f"{words}{simulated} -> {folder}", highlight=False, soft_wrap=True)
    for words in manifest.warnings:
        out.print(f"[yellow]{words}[/yellow]", highlight=False)
    for reason, count in manifest.excluded_by_reason.items():
        out.print(f"excluded: {count:,}, {reason}", highlight=False)
    if manifest.prospects:
        told = "{customers:,} of these are forecast in prospects.parquet: {expected_first_orders:,.0f} first orders"
        out.print(f"{told.format(**manifest.prospects)} expected (evidence {manifest.prospects['evidence']})")
    for name, tally in manifest.population.items():
        out.print(f"{name}: {tally['scored']:,} scored, {tally['excluded']:,} excluded", highlight=False)
    for name, model in manifest.models.items():
        out.print(f"{name}: {model['family']} version {model['version']}, {model['label']}", highlight=False)


SEEN_GAP = 5e-5
"""A share of the profit that is worth a word."""


def show_plan(found: Any, file: Path) -> None:
    """Print whom a plan contacts, what that is expected to bring, and what its control group can show."""
    simulated = " (simulated)" if found["is_simulated"] else ""
    money = f" {found['currency']}" if found["currency"] else ""
    rows = []
    for action in found["actions"]:
        cells = [action[name] for name in ("eligible", "pays_for", "contacts", "control")]
        rows.append([action["action"], action["channel"], *(f"{n:,}" for n in cells)])
    columns = ["action", "channel", "eligible", "pays for", "to contact", "held back"]
    table_of(f"{found['plan']} as of {found['prediction_time']}{simulated}", columns, rows)
    for reason, count in found["excluded_by_reason"].items():
        out.print(f"left alone: {count:,}, {plain(reason)}", highlight=False)
    budget = "no budget" if found["budget"] is None else f"budget {found['budget']:,.2f}"
    out.print(
        f"expected profit {found['expected_profit']:,.2f}{money} (90 % interval {found['expected_profit_low_90']:,.2f} "
        f"to {found['expected_profit_high_90']:,.2f}), expected cost {found['expected_cost']:,.2f}, at most "
        f"{found['highest_cost']:,.2f} if everyone takes the offer ({budget})",
        highlight=False,
        soft_wrap=True,
    )
    if found["gap"] >= SEEN_GAP:
        out.print(
            f"no other list within the limits brings over {found['bound_of_list']:,.2f}; this one, with nobody held "
            f"back, {found['profit_of_list']:,.2f} ({found['gap']:.2%} less)",
            highlight=False,
            soft_wrap=True,
        )
    control = found["control"]
    out.print(
        f"control group: {control['customers']:,} held back; if the churn rate of {control['churn_rate']:.1%} falls by "
        f"{_points(control['effect'])}, that is seen with a probability of {control['power']:.0%} "
        f"({plain(control['note'])}). The actions are expected to lower it by {_points(control['expected_effect'])}"
        f"{_smallest(control)}.",
        highlight=False,
        soft_wrap=True,
    )
    out.print(f"{found['listed']:,} customers -> {file}", style="bold", highlight=False, soft_wrap=True)


def _points(share: float) -> str:
    """A difference of shares."""
    return f"{100 * share:.1f} points"


def _smallest(control: Any) -> str:
    """The smallest fall that a control group shows, where there is any."""
    least = control["detectable_effect"]
    return "" if least is None else f"; the smallest fall it shows as surely as asked is {_points(least)}"


def show_uplift(found: Any) -> None:
    """Print what contacts changed, for whom, and whether that can be known."""
    simulated = " (simulated)" if found["is_simulated"] else ""
    rows = []
    for name, figures in {"everybody": {"effect": found["effect"]}, **found["learners"]}.items():
        for figure, each in figures.items():
            rows.append([name, figure, f"{each['value']:.4f}", f"{each['low_90']:.4f} to {each['high_90']:.4f}"])
    title = f"{', '.join(found['campaigns'])}: {found['outcome']} within {found['horizon_days']} days{simulated}"
    table_of(title, ["who", "figure", "found", "90 % interval"], rows)
    balance = found["balance"]
    alike = "as after a draw by lot" if balance["is_random"] else f"unlike in {', '.join(balance['columns'])}"
    out.print(
        f"{found['treated']:,} contacted ({found['outcome_treated']:.4g} each), {found['control']:,} held back "
        f"({found['outcome_control']:.4g} each); the groups are {alike} (AUC {balance['auc']:.3f}, at most "
        f"{balance['limit']:.3f})",
        highlight=False,
        soft_wrap=True,
    )
    for reason, count in found["dropped"].items():
        out.print(f"left out: {count:,}, {plain(reason)}", highlight=False)
    out.print(f"{found['definition']}", highlight=False, soft_wrap=True)
    out.print(
        f"{found['family']}: {found['words']} -> {found['output']}", style="bold", highlight=False, soft_wrap=True
    )
