import html.parser
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import OutputUnwritable
from features.finding import Finding
from features.profile import Profile, examine_profile, profile_from_tables
from features.usability.content import examine_content
from features.usability.page import write_page
from features.usability.report import STEPS, Usability, assess, assess_source
from features.usability.scores import score_tables
from features.usability.timing import Volume, _gaps, _shift, examine_time
from patron_tables import show_usability

pytestmark = pytest.mark.exhaustive

Write = Callable[..., Path]
Frames = dict[str, pd.DataFrame]
START = pd.Timestamp("2023-01-01", tz="UTC")
HOSTILE = "<script>alert('x')</script>"


def at(*days: float) -> list[pd.Timestamp]:
    return [START + pd.Timedelta(days=day) for day in days]


def orders(days: list[float], customer: str = "a", **columns: Any) -> pd.DataFrame:
    ids = [f"{customer}{i}" for i in range(len(days))]
    frame = pd.DataFrame({"customer_id": customer, "order_id": ids, "event_time": at(*days), "value": 1.0})
    return frame.assign(**columns)


def customers(*ids: str, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": list(ids)}).assign(**columns)


def found(findings: list[Finding], rule: str, table: str | None = None) -> Finding:
    (finding,) = [f for f in findings if rule in f.rule and table in (None, f.table)]
    return finding


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


# ------------------------------------------------------------------ time
def test_entry_delays_are_the_quantiles_of_ingested_at_minus_event_time() -> None:
    waits = [0.0] * 50 + [1.0] * 45 + [10.0] * 4 + [99.0]
    frame = orders([float(i) for i in range(100)], ingested_at=at(*(i + wait for i, wait in enumerate(waits))))
    findings, (delay,), _ = examine_time(profile_from_tables({"customers": customers("a"), "orders": frame}))
    assert findings == []
    assert (delay.table, delay.rows, delay.maximum) == ("orders", 100, 99.0)
    expected = np.quantile(waits, [0.5, 0.9, 0.99])
    assert [delay.median, delay.p90, delay.p99] == pytest.approx(list(expected))


def test_a_fact_known_more_than_a_day_before_it_happened_is_named() -> None:
    frame = orders([5, 6, 7], ingested_at=at(4, 4.99, 8))
    findings, _, _ = examine_time(profile_from_tables({"customers": customers("a"), "orders": frame}))
    finding = found(findings, "a time more than a day after ingested_at")
    assert (finding.severity, finding.step, finding.column) == ("warning", "time", "event_time")
    assert (finding.rows, finding.of) == (1, 3)
    assert "'a1'" in finding.found


def test_facts_before_the_customer_existed_are_named_with_an_example() -> None:
    people = customers("a", "b", created_at=at(5, 0))
    frame = pd.concat([orders([4.5, 5, 6]), orders([1, 2, 3], "b")])
    findings, _, _ = examine_time(profile_from_tables({"customers": people, "orders": frame}))
    finding = found(findings, "before the customer's created_at")
    assert (finding.table, finding.rows, finding.of) == ("orders", 1, 6)
    assert finding.found.startswith("order_id 'a0' has '2023-01-05 12:00:00")
    assert "customers" not in {f.table for f in findings}


@pytest.mark.parametrize("column", ["created_at", "ingested_at"])
def test_a_customer_time_later_than_most_facts_looks_recorded_afterwards(column: str) -> None:
    people = customers("a", **{column: at(10)})
    later = {"customers": people, "orders": orders([1, 2, 11])}
    finding = found(examine_time(profile_from_tables(later))[0], "recorded after the outcome")
    assert (finding.table, finding.column) == ("customers", column)
    assert finding.found == "2 of 3 facts (67%) before it"
    sooner = {"customers": people, "orders": orders([1, 11, 12])}
    assert "later than most" not in str(rules(examine_time(profile_from_tables(sooner))[0]))


def test_a_source_silent_for_many_of_its_own_gaps_is_stale() -> None:
    visits = pd.DataFrame({"customer_id": "a", "event_time": at(*range(0, 60, 2)), "kind": "session"})
    weekly = orders([float(day) for day in range(0, 141, 7)])
    tables = {"customers": customers("a"), "orders": weekly, "events": visits}
    finding = found(examine_time(profile_from_tables(tables))[0], "a stale source")
    # last visit on day 58, newest order on day 140; a visit every second day
    assert finding.table == "events"
    assert finding.found.startswith("nothing since 2023-02-28, 82 days or 41 of its usual gaps")
    shorter = tables | {"orders": weekly[:12]}  # until day 77: 19 days of silence, fewer than ten gaps
    assert "a stale source" not in rules(examine_time(profile_from_tables(shorter))[0])


def test_a_source_silent_no_longer_than_before_is_not_stale() -> None:
    yearly = [float(day) for year in (0, 365) for day in range(year, year + 5)]
    visits = pd.DataFrame({"customer_id": "a", "event_time": at(*yearly), "kind": "session"})
    tables = {"customers": customers("a"), "orders": orders([0.0, 700.0]), "events": visits}
    assert "a stale source" not in rules(examine_time(profile_from_tables(tables))[0])


def test_weeks_are_counted_whole() -> None:
    profile = profile_from_tables({"customers": customers("a"), "orders": orders([0, 6.9, 7, 13, 20.9, 21])})
    assert examine_time(profile)[2] == [Volume("orders", "2023-01-01", (2, 2, 1))]


def test_an_empty_week_between_busy_ones_is_a_gap() -> None:
    (finding,) = _gaps(Volume("orders", "2023-01-01", (20, 30, 0, 25, 20)))
    assert finding.found == "1 of 5 weeks, e.g. the one from 2023-01-15"
    assert list(_gaps(Volume("orders", "2023-01-01", (5, 8, 0, 9, 6)))) == []


def test_a_level_that_halves_at_once_is_a_break_and_a_trend_is_not() -> None:
    generator = np.random.default_rng(0)
    level = np.repeat([200.0, 60.0], 20)
    (finding,) = _shift(Volume("orders", "2023-01-01", tuple(map(int, generator.poisson(level)))))
    assert (finding.severity, finding.table) == ("advice", "orders")
    assert " before 2023-05-21, " in finding.found  # the 21st week
    for steady in (np.linspace(20, 400, 40), np.full(40, 100.0), np.repeat([100.0, 80.0], 20), np.full(40, 2.0)):
        assert list(_shift(Volume("orders", "2023-01-01", tuple(map(int, generator.poisson(steady)))))) == []


def test_the_end_of_a_cohort_is_the_break_in_cdnow(cdnow: Profile) -> None:
    finding = found(examine_time(cdnow)[0], "a break in the volume of rows")
    assert "before 1997-04-02" in finding.found  # customers of the log joined from January to March 1997


# ------------------------------------------------------------------ content
def many(**columns: Any) -> Profile:
    """200 customers with an order each; half ordered in the last 90 days."""
    ids = [f"c{i}" for i in range(200)]
    frame = pd.DataFrame({"customer_id": ids, "order_id": ids, "value": 1.0,
                          "event_time": at(*[0.0] * 100, *[300.0] * 100)})  # fmt: skip
    return profile_from_tables({"customers": customers(*ids, **columns), "orders": frame})


def test_a_column_that_says_the_same_everywhere_is_advised_against() -> None:
    finding = found(examine_content(many(region=["north"] * 199 + ["south"]))[0], "nearly the same value")
    assert (finding.column, finding.found) == ("region", "'north' in 199 of 200 filled rows")
    assert examine_content(many(region=["north"] * 197 + ["south"] * 3))[0] == []


def test_several_columns_are_each_held_against_their_own_values() -> None:
    findings = examine_content(many(region="north", tier=["gold", "basic"] * 100, industry="mining"))[0]
    assert {(f.column, f.found) for f in findings} == {
        ("region", "'north' in 200 of 200 filled rows"),
        ("industry", "'mining' in 200 of 200 filled rows"),
    }


def test_a_column_of_nearly_unique_values_is_like_an_identifier() -> None:
    finding = found(examine_content(many(industry=[f"firm {i}" for i in range(200)]))[0], "like an identifier")
    assert (finding.table, finding.column, finding.severity) == ("customers", "industry", "warning")
    assert examine_content(many(industry=[f"firm {i % 50}" for i in range(200)]))[0] == []


@pytest.mark.parametrize("where", ["stopped", "others"])
def test_an_attribute_of_one_outcome_only_looks_recorded_afterwards(where: str) -> None:
    filled = ["x", "y"] * 50
    values = filled + [None] * 100 if where == "stopped" else [None] * 100 + filled
    finding = found(examine_content(many(tier=values))[0], "recorded after the outcome")
    shares = (100, 0) if where == "stopped" else (0, 100)
    assert finding.found == (
        f"filled for {shares[0]}% of customers without an order in the last 90 days and for {shares[1]}% of the others"
    )
    assert examine_content(many(tier=["x", None, "y", None] * 50))[0] == []


def test_a_value_that_only_customers_who_stopped_have_looks_recorded_afterwards() -> None:
    status = ["lost"] * 60 + ["kept"] * 140
    finding = found(examine_content(many(status=status))[0], "a value as if it was recorded after the outcome")
    assert (finding.column, finding.found) == (
        "status", "'lost' of 60% of customers without an order in the last 90 days and of 0% of the others"
    )  # fmt: skip
    assert examine_content(many(status=["lost"] * 40 + ["kept"] * 160))[0] == []


def test_the_companys_own_columns_are_looked_into_like_those_of_the_contract() -> None:
    own = {
        "passport": [f"P{i}" for i in range(200)], "newsletter": "yes", "reason": ["dear", "far"] * 50 + [None] * 100,
        "notes": "", "income": [str(1000 + i) for i in range(200)], "shoe": ["41", "43"] * 100,
    }  # fmt: skip
    findings, columns = examine_content(many(**own))
    assert {(f.column, f.rule.split(":")[0]) for f in findings} == {
        ("passport", "like an identifier"),
        ("newsletter", "nearly the same value everywhere"),
        ("reason", "filled as if it was recorded after the outcome"),
        ("notes", "no value in any row"),
    }
    facts = {f.column: (f.filled, f.distinct) for f in columns if f.table == "customers"}
    assert facts["reason"] == (100, 2)
    assert facts["income"] == (200, None)  # numbers: all different is nothing strange
    scored = score_tables(many(**own), columns)
    assert [s.of for s in scored if (s.name, s.table) == ("completeness", "customers")] == [200]  # customer_id alone


@pytest.mark.parametrize("name", ["last", "stopped", "has_region", "rows", "value", "Имя столбца", 'a "b"', "customer"])
def test_a_column_may_be_called_anything(name: str) -> None:
    status = {name: ["lost"] * 60 + ["kept"] * 140}
    finding = found(examine_content(many(region=["n", "s"] * 100, **status))[0], "recorded after the outcome")
    assert finding.column == name


def test_the_terminal_shows_how_late_rows_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    frame = orders([float(i) for i in range(100)], ingested_at=at(*(i + 2.5 for i in range(99)), 1_099.0 + 99))
    show_usability(assess(profile_from_tables({"customers": customers("a"), "orders": frame})), None)
    said = capsys.readouterr().out
    assert "Days until a row is known" in said
    assert ["orders", "100", "2.5", "2.5", "13.5", "1,099.0"] in [line.split() for line in said.splitlines()]


# ------------------------------------------------------------------ scores
def scores(profile: Profile) -> dict[tuple[str, str], tuple[int, int]]:
    _, columns = examine_content(profile)
    return {(score.name, score.table): (score.good, score.of) for score in score_tables(profile, columns)}


def test_scores_count_what_they_say(write_folder: Write) -> None:
    profile = examine_profile(write_folder({
        "customers.csv": "customer_id,created_at,acquisition_channel\n"
        "a,2023-01-01T00:00:00Z,web\nb,,web\nc,2023-01-02T00:00:00Z,\nd,2023-01-01T00:00:00Z,web\n"
        "d,2023-01-01T00:00:00Z,web\ne,yesterday,web\nf,2023-01-01T00:00:00Z,web\n",
        "orders.csv": "customer_id,order_id,event_time,value,ingested_at\n"
        "a,1,2023-01-05T00:00:00Z,5,\n"  # sound
        "a,2,2023-01-05T00:00:00Z,five,\n"
        "a,3,2022-12-31T00:00:00Z,5,\n"  # before the customer's created_at
        "a,4,2023-01-05T00:00:00Z,5,2023-01-03T00:00:00Z\n"  # known before it happened
        "z,5,2023-01-05T00:00:00Z,5,\n"
        "f,6,2023-01-05T00:00:00Z,5,\nf,6,2023-01-05T00:00:00Z,5,\n",
        "identities.csv": "alias_id,customer_id,valid_from,valid_to\n"
        "x,a,2023-01-01T00:00:00Z,2023-02-01T00:00:00Z\nx,f,2023-02-01T00:00:00Z,\n"
        "y,a,2023-01-01T00:00:00Z,2023-02-01T00:00:00Z\ny,f,2023-01-15T00:00:00Z,\n",
    }))  # fmt: skip
    assert scores(profile) == {
        ("completeness", "customers"): (19, 21),
        ("completeness", "orders"): (28, 28),  # an empty ingested_at says: known at once
        ("completeness", "identities"): (12, 12),
        ("contact accuracy", "customers"): (0, 7),  # a and f share y; the others lack something or stand twice
        ("sales accuracy", "orders"): (1, 7),
    }


def test_rows_in_quarantine_are_not_sound(write_folder: Write, tmp_path: Path) -> None:
    folder = write_folder({
        "customers.csv": "customer_id\na\n",
        "orders.csv": "customer_id,order_id,event_time,value\n"
        "a,1,2023-01-05T00:00:00Z,5\na,2,2023-01-05T00:00:00Z,x\nz,3,2023-01-05T00:00:00Z,5\n",
    })  # fmt: skip
    assert scores(examine_profile(folder))["sales accuracy", "orders"] == (1, 3)
    assert scores(examine_profile(folder, tmp_path / "aside"))["sales accuracy", "orders"] == (1, 3)


# ------------------------------------------------------------------ the report
@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    from training.simulation.simulate import simulate

    folder = simulate(tmp_path_factory.mktemp("healthy"), 60, seed=3)
    return {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet") if path.stem != "truth"}


def text(frame: pd.DataFrame, column: str, row: int, value: Any) -> pd.DataFrame:
    values = frame[column].astype("string").astype(object).tolist()
    values[row] = value
    return frame.assign(**{column: pd.Series(values, index=frame.index, dtype="string")})


def put(column: str, row: int, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: text(frame, column, row, value)


def zoned(frame: pd.DataFrame) -> pd.DataFrame:
    written = frame["event_time"].dt.strftime("%Y-%m-%dT%H:%M:%S").to_numpy()
    offsets = np.where(np.arange(len(frame)) % 2, "+02:00", "Z")
    return frame.assign(event_time=[f"{at}{offset}" for at, offset in zip(written, offsets, strict=True)])


MUTATIONS: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "drop": ("orders", lambda frame: frame.drop(columns="value"), "a required column is missing"),
    "rename": ("orders", lambda frame: frame.rename(columns={"event_time": "Event Time"}),
               "a required column is missing"),
    "retype": ("orders", lambda frame: frame.assign(value=frame["event_time"]), "wrong type"),
    "naive": ("surveys", lambda frame: frame.assign(sent_at=frame["sent_at"].dt.tz_localize(None)), "wrong type"),
    "duplicate": ("orders", lambda frame: pd.concat([frame, frame[:3]]), "a duplicate order_id"),
    "copy": ("surveys", lambda frame: pd.concat([frame, frame[:3]]), "an exact copy beside them"),
    "null": ("events", put("kind", 4, None), "no value"),
    "off-scale": ("surveys", lambda frame: frame.assign(score=frame["score"] * 1000), "a score off its scale"),
    "huge": ("orders", put("value", 2, "9" * 400), "a value that is not a finite amount below 10^14"),
    "unicode": ("orders", put("value", 2, "\u0665\u066b\u0661\u202e\U0001f600"),
                "a value that is not a finite amount below 10^14"),
    "hostile": ("orders", put("customer_id", 2, HOSTILE), "a customer_id that is not in customers"),
    "no zone": ("orders", put("event_time", 2, "2024-01-01T00:00:00"), "no time zone"),
    "mixed zones": ("orders", zoned, "mixed time zones"),
    "empty": ("orders", lambda frame: frame[:0], "no rows"),
    "mixed currencies": ("orders", lambda frame: frame.assign(currency=["EUR", "USD"] * (len(frame) // 2)
                                                              + ["EUR"] * (len(frame) % 2)), "mixed currencies"),
    "end before start": ("subscriptions",
                         lambda frame: frame.assign(ended_at=frame["started_at"] - pd.Timedelta(days=1)),
                         "a time before started_at"),
}  # fmt: skip


def examined(frames: Mapping[str, pd.DataFrame], folder: Path) -> Profile:
    folder.mkdir(exist_ok=True)
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet")
    return examine_profile(folder)


def test_the_healthy_profile_is_valid_and_reported_step_by_step(healthy: Frames, tmp_path: Path) -> None:
    report = assess(examined(healthy, tmp_path))
    assert report.is_valid
    assert set(report.by_step()) <= {"time", "enough", "content"}
    assert [volume.table for volume in report.volumes] == ["orders", "events", "surveys", "subscriptions", "campaigns"]
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    assert {"tables", "findings", "scores", "entry_delay_days", "weekly_rows", "columns", "tasks"} <= set(document)
    assert all(finding["step"] in STEPS for finding in document["findings"])
    for table in document["tables"]:
        counts = table["counts"]
        assert counts["read"] == counts["used"] + counts["quarantined"] + counts["out_of_scope"]


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_kind_of_damage_is_a_named_finding_and_still_a_report(name: str, healthy: Frames, tmp_path: Path) -> None:
    table, change, rule = MUTATIONS[name]
    report = assess(examined(healthy | {table: change(healthy[table])}, tmp_path / "profile"))
    assert rule in {finding.rule for finding in report.findings if finding.table == table}
    page = write_page(report, tmp_path / "page.html").read_text(encoding="utf-8")
    assert rule in html_text(page)
    assert HOSTILE not in page
    for finding in report.findings:
        assert len(finding.message().splitlines()) == 1


def test_the_order_of_rows_changes_nothing(healthy: Frames, tmp_path: Path) -> None:
    shuffled = {name: frame.sample(frac=1, random_state=1) for name, frame in healthy.items()}
    one, other = (assess(examined(frames, tmp_path / name)) for name, frames in
                  (("one", healthy), ("other", shuffled)))  # fmt: skip
    assert {**one.document(), "profile": ""} == {**other.document(), "profile": ""}


class Text(html.parser.HTMLParser):
    """The words and tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def html_text(page: str) -> str:
    parser = Text()
    parser.feed(page)
    return " ".join(" ".join(parser.words).split())


def test_hostile_values_stay_text_and_the_page_needs_nothing_else(write_folder: Write, tmp_path: Path) -> None:
    rows = "".join(f"{HOSTILE},{i},2023-01-0{i}T00:00:00Z,<b>{i}\n" for i in range(1, 6))
    folder = write_folder({
        "customers.csv": f'customer_id,region\n{HOSTILE},"<img src=x onerror=alert(1)>"\n',
        "orders.csv": f"customer_id,order_id,event_time,value\n{rows}",
    }, "<i>profile")  # fmt: skip
    page = write_page(assess(examine_profile(folder)), tmp_path / "page.html").read_text(encoding="utf-8")
    parser = Text()
    parser.feed(page)
    assert not {"script", "img", "link", "i", "iframe"} & {tag for tag, _ in parser.tags}
    assert not [value for _, attributes in parser.tags for name, value in attributes.items()
                if name in {"src", "href"} or name.startswith("on")]  # fmt: skip
    assert "'<b>1'" in html_text(page)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"orders.csv": "customer_id,order_id,event_time,value\nc1,o1,2024-01-01T00:00:00Z,5\n"},
         "customers: the table is missing"),
        ({"customers.csv": "customer_id\nc1\n", "events.parquet": "PAR1"}, "'events.parquet' cannot be read"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_read_whole_still_gets_its_page(
    files: dict[str, str], found: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    report = assess_source(str(tmp_path))
    assert not report.is_valid
    assert [finding.step for finding in report.findings] == ["read"]
    assert found in report.findings[0].message()
    page = write_page(report, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not valid" in page
    assert report.findings[0].rule.split("'")[-1] in page


def test_a_page_that_cannot_be_written_is_refused_in_one_line(small_profile: Profile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable):
        write_page(assess(small_profile), tmp_path / "file" / "page.html")


def test_quarantined_rows_are_counted_on_the_page(write_folder: Write, tmp_path: Path) -> None:
    folder = write_folder({
        "customers.csv": "customer_id\na\n",
        "orders.csv": "customer_id,order_id,event_time,value\na,1,2023-01-05T00:00:00Z,5\na,2,2023-01-05T00:00:00Z,x\n",
    })  # fmt: skip
    report: Usability = assess(examine_profile(folder, tmp_path / "aside"))
    assert report.is_valid
    words = html_text(write_page(report, tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "orders 2 1 1 0 1" in words
