"""Where a column comes from: which relations, whose doing, and whether it says since when it was known."""

import re
from collections.abc import Iterable
from typing import Any

import ibis
import ibis.expr.operations as ops

from features.attributes import OWN
from features.profile import Profile
from features.snapshot import TABLE_OF, Snapshot, make_snapshot, times_of
from features.spec import Facts, Feature, FeatureSet

COMPANY_KINDS = frozenset({"outbound_call", "offer_made", "ad_impression"})
COMPANY_SUFFIX = "_sent"
"""Kinds of events that are the company's doing: these, and whatever it sends."""
PREDICTS = frozenset(
    {"score", "scores", "scored", "scoring", "risk", "probability", "prob", "proba", "propensity", "likelihood"}
    | {"predict", "predicted", "prediction", "pred", "forecast"}
)
"""Words of which one stands in the name of what a model has put out."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def tables_of(feature: Feature) -> frozenset[str]:
    """The profile's tables that a feature is made of in the end."""
    if isinstance(feature.source, str):
        return frozenset({TABLE_OF.get(feature.source, feature.source)})
    return frozenset().union(*(tables_of(source) for source in feature.source))


def is_order_history(feature: Feature) -> bool:
    """Whether it only counts, times and adds up orders: text comes from an attribute, which may be changed later.

    The past of the very event that is predicted is such a history, too.
    """
    if feature.detail:
        return True
    if feature.sources:
        return all(is_order_history(source) for source in feature.sources)
    return feature.dtype != "string" and tables_of(feature) == {"orders"}


def is_prediction(feature: Feature) -> bool:
    """Whether a company's own column is, by its name, what a model of another system has put out.

    Examples
    --------
    >>> from features.attributes import attribute
    >>> [is_prediction(attribute(name, "float64")) for name in ("Churn Score", "pChurnRisk", "prob_y", "underscored")]
    [True, True, True, False]
    """
    words = {word.lower() for word in _WORD.findall(feature.name)}
    return feature.unit == OWN and bool(words & PREDICTS)


def company_actions(profile: Profile, features: FeatureSet) -> frozenset[str]:
    """Features that measure what the company did: over `campaigns`, or over events only of kinds that it sends."""
    snapshot = make_snapshot(profile.tables, [profile.known_until], profile.backend.name)
    return frozenset(feature.name for feature in features.features if _is_action(feature, snapshot))


def _is_action(feature: Feature, snapshot: Snapshot) -> bool:
    if feature.sources:
        return all(_is_action(source, snapshot) for source in feature.sources)
    source = str(feature.source)
    if tables_of(feature) != {"events"}:
        return tables_of(feature) == {"campaigns"}
    relation = ibis.table(snapshot.relation(source).schema(), name=source)
    kinds = _kinds(feature.build(Facts(relation, source)).op())
    return bool(kinds) and all(kind in COMPANY_KINDS or kind.endswith(COMPANY_SUFFIX) for kind in kinds)


def _kinds(node: Any) -> set[str]:
    """The kinds of events that an expression compares with."""
    found: list[Any] = []
    for equals in node.find(ops.Equals):
        sides = (equals.left, equals.right)
        if any(_is_kind(side) for side in sides):
            found += sides
    for member in node.find(ops.InValues):
        if _is_kind(member.value):
            found += member.options
    return {str(item.value) for item in found if isinstance(item, ops.Literal)}


def _is_kind(node: Any) -> bool:
    return isinstance(node, ops.Field) and node.name == "kind"


def dated_attributes(profile: Profile, features: Iterable[Feature]) -> frozenset[str]:
    """Features of `customers` alone whose every value comes with the time at which it became known.

    That is the row's `ingested_at`, or a time of the attribute's own beside it.
    """
    names = [feature.name for feature in features if tables_of(feature) == {"customers"}]
    if not names or not profile.has("customers"):
        return frozenset()
    customers = profile.tables["customers"]
    has_times = profile.has("customers", "ingested_at")
    is_late = customers["ingested_at"].isnull() if has_times else customers["customer_id"].notnull()
    undated = {"customer_id": is_late}  # what has no time of its own has that of the row
    for name, date in times_of(customers).items():
        undated[name] = is_late & customers[name].notnull() & customers[date].isnull()
    found = customers.aggregate(**{name: cells.any() for name, cells in undated.items()})
    row = profile.backend.to_pyarrow(found).to_pylist()[0]
    return frozenset(name for name in names if not row.get(name, row["customer_id"]))
