"""Example profiles, damaged: the damage is named, refused in one line, or changes nothing."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.catalogue import ALL
from features.engine.builder import available, build_features
from features.errors import PatronError
from features.instants import read_instant
from features.profile import examine_profile

pytestmark = pytest.mark.exhaustive

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
AT = {"contoso": "2019-02-01", "clickstream": "2024-05-01", "telco": "2019-01-02"}
NEEDED = {
    "contoso": {
        "contacts": ["ContactId"],
        "loyalty_accounts": ["LoyaltyId", "ContactId"],
        "online_purchases": ["ContactId", "PurchaseId", "PurchasedOn", "TotalPrice"],
        "pos_purchases": ["LoyaltyId", "PurchaseId", "PurchasedOn", "TotalPrice"],
        "website_reviews": ["UserId", "ReviewDate", "ReviewRating"],
    },
    "clickstream": {"events": ["user_id", "timestamp"]},
    "telco": {"telco_churn": ["customerID", "tenure", "MonthlyCharges"]},
}
TIMES = ["PurchasedOn", "ReviewDate", "timestamp"]
OPTIONAL = ["ReviewRating", "MonthlyCharges"]
"""May be empty: a review without a rating says that nobody rated."""
NUMBERS = ["TotalPrice", "ReviewRating", "tenure", "MonthlyCharges"]

Damage = Callable[[pd.DataFrame, str, Sequence[int]], pd.DataFrame]


def put(frame: pd.DataFrame, column: str, at: Sequence[int], change: Callable[[str], str | None]) -> pd.DataFrame:
    values = frame[column].tolist()
    for i in {i % len(values) for i in at}:
        values[i] = change(values[i])
    return frame.assign(**{column: values})


FORM: dict[str, Damage] = {
    "drop a column": lambda frame, column, _: frame.drop(columns=column),
    "rename a column": lambda frame, column, _: frame.rename(columns={column: f"{column} (new)"}),
    "shuffle rows": lambda frame, _, at: frame.sample(frac=1, random_state=at[0]),
    "duplicate rows": lambda frame, _, at: pd.concat([frame, frame.iloc[[i % len(frame) for i in at]]]),
    "turn columns round": lambda frame, _, __: frame[frame.columns[::-1]],
    "unknown column": lambda frame, _, __: frame.assign(**{"ein Rätsel": "☃"}),
    "no rows": lambda frame, _, __: frame.iloc[:0],
}
"""What may happen to any column: it is noticed where it matters, and changes nothing where it does not."""
VALUES: dict[str, Damage] = {
    "nulls": lambda frame, column, at: put(frame, column, at, lambda _: None),
    "retype to text": lambda frame, column, at: put(frame, column, at, lambda value: f"about {value}"),
    "unicode": lambda frame, column, at: put(frame, column, at, lambda value: f"{value}\u202eé😀\u0000"),
}
"""What may happen to the values that a profile cannot do without."""
HUGE: Damage = lambda frame, column, at: put(frame, column, at, lambda _: "1" + "0" * 40)  # noqa: E731
NOT_FINITE: Damage = lambda frame, column, at: put(frame, column, at, lambda _: "nan")  # noqa: E731
OFF_SCALE: Damage = lambda frame, column, at: put(frame, column, at, lambda _: "6")  # noqa: E731
ZONES: Damage = lambda frame, column, at: put(frame, column, at, lambda _: "2019-01-05T10:00:00+05:30")  # noqa: E731


def cases() -> list[tuple[str, str, str, str, Damage]]:
    found: list[tuple[str, str, str, str, Damage]] = []
    for example, files in NEEDED.items():
        for file, columns in files.items():
            everything = pd.read_csv(EXAMPLES / example / "data" / f"{file}.csv.gz", nrows=0).columns
            found += [(example, file, c, name, do) for c in everything for name, do in FORM.items()]
            for name, do in VALUES.items():
                named = [c for c in columns if not (name == "nulls" and c in OPTIONAL)]
                # another id in a flat table is another customer, and nobody can know better
                found += [(example, file, c, name, do) for c in named if name == "nulls" or c != "customerID"]
            found += [(example, file, c, "huge", HUGE) for c in columns if c in NUMBERS]
            found += [(example, file, c, "not finite", NOT_FINITE) for c in columns if c in NUMBERS]
            found += [(example, file, c, "mixed zones", ZONES) for c in columns if c in TIMES]
            found += [(example, file, c, "off scale", OFF_SCALE) for c in columns if c == "ReviewRating"]
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, sound cuts of the examples."""
    root = tmp_path_factory.mktemp("examples")
    for example, files in NEEDED.items():
        (root / example / "data").mkdir(parents=True)
        shutil.copy(EXAMPLES / example / "profile.yaml", root / example)
        tables = {file: pd.read_csv(EXAMPLES / example / "data" / f"{file}.csv.gz", dtype=str) for file in files}
        if example == "contoso":
            some = tables["contacts"]["ContactId"].head(40)
            cards = tables["loyalty_accounts"]
            tables["loyalty_accounts"] = cards[cards["ContactId"].isin(some)]
            owned = {"LoyaltyId": tables["loyalty_accounts"]["LoyaltyId"], "ContactId": some, "UserId": some}
            for file in files:
                key = next(key for key in owned if key in tables[file])
                tables[file] = tables[file][tables[file][key].isin(owned[key])]
        else:
            key = files[next(iter(files))][0]
            tables = {file: table[table[key].isin(table[key].unique()[:25])] for file, table in tables.items()}
        for file, table in tables.items():
            table.to_csv(root / example / "data" / f"{file}.csv.gz", index=False)
    return root


def outcome(folder: Path, at: str) -> tuple[list[str], pa.Table | None]:
    """What is found or refused, and the features where nothing keeps them from being built."""
    try:
        profile = examine_profile(folder)
    except PatronError as refused:
        return [str(refused)], None
    found = sorted(finding.message() for finding in profile.findings)
    if any(finding.severity == "error" for finding in profile.findings):
        return found, None
    return found, build_features(profile, available(profile, ALL).features, [read_instant(at)])


@pytest.fixture(scope="module")
def sound(small: Path) -> dict[str, tuple[list[str], pa.Table | None]]:
    """What the undamaged cuts give."""
    return {example: outcome(small / example, at) for example, at in AT.items()}


def test_the_undamaged_cuts_are_sound(sound: dict[str, tuple[list[str], pa.Table | None]]) -> None:
    for _, table in sound.values():
        assert table is not None
        assert table.num_rows >= 20


@pytest.mark.slow
@given(case=st.sampled_from(cases()), at=st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_named_or_refused_in_one_line_or_changes_nothing(
    small: Path,
    sound: dict[str, tuple[list[str], pa.Table | None]],
    tmp_path: Path,
    case: tuple[str, str, str, str, Damage],
    at: list[int],
) -> None:
    example, file, column, _, damage = case
    folder = tmp_path / example
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(small / example, folder)
    path = folder / "data" / f"{file}.csv.gz"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    damage(frame, column, at).to_csv(path, index=False)
    found, table = outcome(folder, AT[example])
    before, features = sound[example]
    assert all("\n" not in message for message in found)
    if found == before:
        assert table is not None
        assert table.equals(features)
