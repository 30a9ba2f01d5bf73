from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InstantUnreadable
from features.instants import DAY_US, days, from_us, last_observed_day, read_instant, to_us, write_instant

IN_INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1997-10-01", datetime(1997, 10, 1, tzinfo=UTC)),
        (" 1997-10-01\n", datetime(1997, 10, 1, tzinfo=UTC)),
        ("1997-10-01T12:00:00Z", datetime(1997, 10, 1, 12, tzinfo=UTC)),
        ("1997-10-01T00:00:00+05:30", datetime(1997, 9, 30, 18, 30, tzinfo=UTC)),
        ("1997-10-01 12:00:00.25-01:00", datetime(1997, 10, 1, 13, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_a_date_or_a_time_with_offset_is_read_as_a_utc_instant(text: str, instant: datetime) -> None:
    read = read_instant(text)
    assert read == instant
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1997-13-01",
        "1997-02-30",
        "01/10/1997",
        "1997-10-01T12:00:00",
        "1997-10-01T25:00:00Z",
        "1997-10",
        "875664000",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_anything_else_is_refused_in_one_line_that_quotes_it(text: str) -> None:
    with pytest.raises(InstantUnreadable) as refused:
        read_instant(text, "--at")
    message = str(refused.value)
    assert message.startswith(f"--at {text!r} is not an instant. Allowed: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(1997, 10, 1, tzinfo=UTC), "1997-10-01"),
        (datetime(1997, 10, 1, 5, 30, tzinfo=IN_INDIA), "1997-10-01"),
        (datetime(1997, 10, 1, tzinfo=IN_INDIA), "1997-09-30T18:30:00Z"),
        (datetime(1997, 10, 1, 0, 0, 0, 1, tzinfo=UTC), "1997-10-01T00:00:00.000001Z"),
    ],
)
def test_an_instant_is_written_in_utc_without_a_midnight(instant: datetime, text: str) -> None:
    assert write_instant(instant) == text


@given(st.integers(to_us(datetime(1900, 1, 1, tzinfo=UTC)), to_us(datetime(2199, 12, 31, tzinfo=UTC))))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_every_microsecond_survives_writing_and_reading(microseconds: int) -> None:
    assert to_us(read_instant(write_instant(from_us(microseconds)))) == microseconds


def test_microseconds_do_not_depend_on_the_offset_an_instant_is_given_in() -> None:
    assert to_us(datetime(1970, 1, 2, 5, 30, tzinfo=IN_INDIA)) == DAY_US


def test_a_day_is_24_hours() -> None:
    assert days(1.5) == timedelta(hours=36)


@pytest.mark.parametrize(
    ("cutoff", "day"),
    [
        (datetime(1997, 10, 1, tzinfo=UTC), date(1997, 9, 30)),
        (datetime(1997, 10, 1, 0, 0, 0, 1, tzinfo=UTC), date(1997, 10, 1)),
        (datetime(1997, 10, 1, 5, 30, tzinfo=IN_INDIA), date(1997, 9, 30)),
    ],
)
def test_the_last_observed_day_holds_the_instant_just_before_the_cutoff(cutoff: datetime, day: date) -> None:
    assert last_observed_day(cutoff) == day
