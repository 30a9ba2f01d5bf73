"""Everything that moves a customer's scores, for whoever asks about one: `/v1/explain`.

What would change a score is read off the model, which knows what goes together and not what follows from what. It is
labelled so wherever it stands, here, in the scores of the batch job and on the list of a plan: the effect of an action
is what only an experiment shows.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from features.describe import in_words
from features.engine.builder import feature_frame
from models.base import Array
from models.families import RANKED, Task
from serving.champion import Champion
from serving.reasons import EFFECT_UNITS, PROBABILITIES, Account, account_for, contribution_unit
from serving.scorer import Scored, Scorer

AVERAGE_VALUE = "clv_of_average"


def explain(
    scorer: Scorer, table: pa.Table, tasks: Iterable[Task], language: str
) -> tuple[Scored, dict[str, dict[Task, dict[str, Any]]]]:
    """Explain customers' scores.

    Parameters
    ----------
    scorer : Scorer
        With the champions.
    table : pyarrow.Table
        Features, as `Scorer.score` takes them.
    tasks : iterable of task
        Which scores.
    language : {"en", "ru", "pl"}
        Of the words.

    Returns
    -------
    tuple of Scored and dict
        The scores without reasons; and the explanations by customer and task, of whom the task concerns.

    Raises
    ------
    NoChampion
        If a task has no champion.
    UnknownName
        If the language is not one of them.
    """
    wanted = scorer.require(tasks)
    found: dict[str, dict[Task, dict[str, Any]]] = {}
    for task in wanted:
        champion = scorer.champions[task]
        rows = table.filter(champion.knows(table))
        if rows.num_rows:
            for customer, explanation in _explanations(task, champion, rows, language):
                found.setdefault(customer, {})[task] = explanation
    return scorer.score(table, wanted, "none"), found


def _explanations(
    task: Task, champion: Champion, rows: pa.Table, language: str
) -> Iterable[tuple[str, dict[str, Any]]]:
    frame = feature_frame(rows, champion.features)
    scores = champion.kept.score(frame)
    times = rows.column("prediction_time").to_pylist()
    account = account_for(task, champion.explained, frame, scores, times, language)
    bases: Array | None = account.base if task in PROBABILITIES else None
    if task == "clv":
        bases = scores[AVERAGE_VALUE].to_numpy()
    for row, customer in enumerate(rows.column("customer_id").to_pylist()):
        yield (
            customer,
            {
                "score": float(account.scores[row]) if task in RANKED else None,
                "base": float(bases[row]) if bases is not None else None,
                "contribution_unit": contribution_unit(champion.kept),
                "effect_unit": EFFECT_UNITS[task],
                "reasons": [_reason(account, row, at) for at in account.order[row]],
                "what_would_change": account.changes(row) if task in PROBABILITIES else [],
                "association": account.language.words.association,
                "model_version": champion.version,
                "feature_fingerprint": champion.contract.fingerprint,
            },
        )


def _reason(account: Account, row: int, at: int) -> dict[str, Any]:
    """A meaning with all its features, the strongest its own way first."""
    return account.reason(row, at) | {
        "title": account.language.title(account.names[at]) or account.names[at],
        "members": [
            {
                "feature": name,
                "description": in_words(account.known[name]) if name in account.known else "",
                "value": _plain(account.values[name][row]),
                "contribution": float(account.shares[row, account.places[name]]),
            }
            for name in account.members(row, at)
        ],
    }


def _plain(value: Any) -> str | float | None:
    """A value as JSON has it."""
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN
