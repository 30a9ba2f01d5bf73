"""The catalogue in words: what every feature is, for a reader and for a page that is generated from the code."""

import sys
from collections.abc import Iterable
from typing import Any

from features.catalogue import CATALOGUE, FEATURE_SETS, MODULES, collect
from features.meaning import can_influence, meaning_of
from features.snapshot import TABLE_OF
from features.spec import Feature

WITHOUT_FACTS = {"float64": "0", "int64": "0", "bool": "false"}


def describe(features: Iterable[Feature]) -> list[dict[str, Any]]:
    """Say of each feature what a reader of its column needs to know.

    Parameters
    ----------
    features : iterable of Feature
        In the order wanted.

    Returns
    -------
    list of dict
        `name`, `unit`, `dtype`, `null` (what null means, or what stands for a customer without facts), `description`,
        `source` (the profile's table, or the features it is computed from), `version`, the feature sets it is in, its
        `meaning` (features of one meaning count as one reason) and whether the company `can_influence` that.
    """
    return [
        {
            "name": feature.name,
            "unit": feature.unit,
            "dtype": feature.dtype,
            "null": _null_meaning(feature),
            "description": feature.description,
            "source": _source(feature),
            "version": feature.version,
            "feature_sets": [name for name, wanted in FEATURE_SETS.items() if feature.name in wanted.names],
            "meaning": meaning_of(feature),
            "can_influence": can_influence(meaning_of(feature)),
        }
        for feature in features
    ]


def in_words(feature: Feature) -> str:
    """What a feature is, without what null means: to be followed by its value."""
    return feature.description.partition("; ")[0].rstrip(".")


def _null_meaning(feature: Feature) -> str:
    if feature.nullable:
        return feature.description.rpartition("null ")[2].rstrip(".")
    if feature.sources or feature.source == "customers":  # the description says what it is then
        return "never"
    return f"never; {WITHOUT_FACTS[feature.dtype]} without facts"


def _source(feature: Feature) -> str:
    if isinstance(feature.source, str):
        return TABLE_OF.get(feature.source, feature.source)
    return ", ".join(source.name for source in feature.source)


def catalogue_page() -> str:
    """Write the catalogue as a Markdown page, a section a module."""
    lines = [
        "# Feature catalogue",
        "",
        f"{len(CATALOGUE)} features, each declared once in `features/`. Generated from the code by `make catalogue`; "
        "do not edit.",
        "",
        "Every feature sees only what had happened, and was known, by the prediction time. Windows end there and are "
        "in days. A feature of a table or column that a profile does not have is absent from its feature table.",
    ]
    seen: set[str] = set()
    for module in MODULES:
        own = [feature for name, feature in collect((module,)).items() if name not in seen]  # not what is imported
        seen.update(feature.name for feature in own)
        summary = (module.__doc__ or "").splitlines()[0]
        lines += ["", f"## {module.__name__.removeprefix('features.')}", "", summary, ""]
        lines += ["| name | unit | dtype | null | description | source | version |", "|---|---|---|---|---|---|---|"]
        for row in describe(own):
            cells = [row[key] for key in ("unit", "dtype", "null", "description", "source", "version")]
            lines.append(f"| `{row['name']}` | " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(catalogue_page())
