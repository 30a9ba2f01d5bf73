"""`patron profile init` on tables it has never seen: what it writes loads, what it cannot tell it marks."""

from pathlib import Path

import duckdb
import pytest

from features.errors import NothingToPropose, OutputUnwritable, ProfileNotFound
from features.mapping.file import read_mapping
from features.mapping.propose import write_proposal
from features.profile import examine_profile, open_profile

pytestmark = pytest.mark.exhaustive

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_five_unknown_tables_become_the_profile_that_people_wrote(tmp_path: Path) -> None:
    file, to_decide = write_proposal(EXAMPLES / "contoso" / "data", tmp_path / "profile.yaml")
    proposed, written = examine_profile(file), examine_profile(EXAMPLES / "contoso", tmp_path / "quarantine")
    assert {summary.table: summary.rows for summary in proposed.summaries} == {
        table: count.read for table, count in written.counts.items()
    }
    assert {(f.table, f.rule): f.rows for f in proposed.findings} == {
        (f.table, f.rule): f.rows for f in written.findings
    }
    assert to_decide == file.read_text().count("# decide")
    assert "formats: [M/D/YYYY, YYYY-MM-DD]" in file.read_text()
    assert "customer_id: {alias: " in file.read_text()
    assert "metric: {constant: csat}   # decide: answers lie from 2.0 to 5.0" in file.read_text()


def test_a_log_alone_gives_its_customers_and_loses_its_copies(tmp_path: Path) -> None:
    file, _ = write_proposal(EXAMPLES / "clickstream" / "data", tmp_path / "profile.yaml")
    profile = open_profile(file)
    assert {s.table: s.rows for s in profile.summaries} == {"customers": 600, "events": 31_076}
    assert "exact_duplicates: drop   # decide: 30 rows are exact copies" in file.read_text()


def test_a_simulated_profile_is_proposed_as_it_is(simulated_folder: Path, tmp_path: Path) -> None:
    file, _ = write_proposal(simulated_folder, tmp_path / "profile.yaml")
    proposed = {s.table: s.rows for s in open_profile(file).summaries}
    found = {s.table: s.rows for s in open_profile(simulated_folder).summaries}
    assert {table: found[table] for table in proposed} == proposed
    assert set(proposed) >= {"customers", "orders", "events", "surveys", "subscriptions"}


def lay_out(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_dates_that_may_start_with_day_or_month_are_marked(tmp_path: Path) -> None:
    lay_out(tmp_path, clients="client_id\n1\n", bills="client_id,invoice_no,invoice_date,amount\n1,7,3/4/2024,5\n")
    file, _ = write_proposal(tmp_path)
    assert "# decide: month or day first? Both fit every value; the other: D/M/YYYY" in file.read_text()
    assert file == tmp_path / "profile.yaml"
    assert open_profile(tmp_path).summaries[1].rows == 1


def test_a_day_above_twelve_settles_it(tmp_path: Path) -> None:
    bills = "client_id,invoice_no,invoice_date,amount\n1,7,3/4/2024,5\n1,8,13/4/2024,5\n"
    text = write_proposal(lay_out(tmp_path, clients="client_id\n1\n", bills=bills))[0].read_text()
    assert "formats: [D/M/YYYY]" in text
    assert "month or day first" not in text


def test_lines_returns_and_a_missing_order_id_are_proposed_for_what_they_are(tmp_path: Path) -> None:
    lines = "customer,date,amount\nc1,2024-01-01,5\nc1,2024-01-01,7\nc1,2024-01-02,-5\n"
    file, _ = write_proposal(lay_out(tmp_path, sales=lines))
    text = file.read_text()
    assert "collapse: order_id   # decide" in text
    assert "returns: negative   # decide" in text
    orders = open_profile(tmp_path).tables["orders"].order_by("event_time").to_pyarrow().to_pylist()
    assert [(float(row["value"]), row["is_return"]) for row in orders] == [(12.0, False), (-5.0, True)]


def test_a_duckdb_file_is_looked_at_too(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as engine:
        engine.execute("CREATE TABLE customers AS SELECT 1 AS customer_id, 'x' AS region")
        engine.execute(
            "CREATE TABLE sales AS SELECT 1 AS customer_id, 2 AS order_id, now() AS order_date, 3.5 AS amount"
        )
    file, _ = write_proposal(tmp_path / "shop.duckdb")
    assert {s.table: s.rows for s in open_profile(file).summaries} == {"customers": 1, "orders": 1}


def test_what_is_not_used_is_said_with_its_columns(tmp_path: Path) -> None:
    files = {"clients": "client_id\n1\n", "weather": "day,rain\n2024-01-01,3\n"}
    text = write_proposal(lay_out(tmp_path, **files))[0].read_text()
    assert "# decide: weather is not used; its columns are day, rain" in text
    assert "# decide: no table of facts was found" in text
    assert read_mapping(tmp_path / "profile.yaml").mapping.tables.keys() == {"customers"}


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("mine")
    with pytest.raises(OutputUnwritable, match="already there"):
        write_proposal(lay_out(tmp_path, clients="client_id\n1\n"))
    assert (tmp_path / "profile.yaml").read_text() == "mine"


def test_a_file_that_comes_while_the_tables_are_read_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_: Path, beside: Path) -> str:
        (beside / "profile.yaml").write_text("mine")
        return "theirs"

    monkeypatch.setattr("features.mapping.propose.propose", slow)
    with pytest.raises(OutputUnwritable, match="already there"):
        write_proposal(tmp_path)
    assert (tmp_path / "profile.yaml").read_text() == "mine"


def test_where_nothing_can_be_proposed_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(ProfileNotFound, match="no Parquet or CSV file"):
        write_proposal(tmp_path)
    with pytest.raises(ProfileNotFound, match="no such folder"):
        write_proposal(tmp_path / "nowhere")
    with pytest.raises(NothingToPropose, match="no column names the customer; found the columns 'day', 'rain'"):
        write_proposal(lay_out(tmp_path, weather="day,rain\n2024-01-01,3\n"))
    (tmp_path / "broken.duckdb").write_text("no database")
    with pytest.raises(ProfileNotFound):
        write_proposal(tmp_path / "broken.duckdb", tmp_path / "other.yaml")
