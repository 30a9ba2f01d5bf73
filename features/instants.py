"""Instants and days: how Patron writes, reads and counts time.

Inside a snapshot every instant is a whole number of microseconds since 1970-01-01T00:00:00Z, so that windows are
integer comparisons: the same on every engine, whatever the machine's time zone, and many times faster than
calendar arithmetic on timestamps.
"""

from datetime import UTC, date, datetime, timedelta

from features.errors import InstantUnreadable

DAY_US = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(instant: datetime) -> int:
    """Microseconds since the epoch of an aware instant.

    Examples
    --------
    >>> to_us(datetime(1970, 1, 2, tzinfo=UTC)) == DAY_US
    True
    """
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """The UTC instant that lies so many microseconds after the epoch."""
    return EPOCH + timedelta(microseconds=microseconds)


def days(count: float) -> timedelta:
    """So many days of 24 hours."""
    return timedelta(days=count)


def read_instant(text: str, name: str = "the date") -> datetime:
    """Read a date (midnight UTC) or an ISO 8601 time with an offset.

    Parameters
    ----------
    text : str
        What a person wrote.
    name : str
        What the value is for, used in the error.

    Returns
    -------
    datetime
        Aware, in UTC.

    Raises
    ------
    InstantUnreadable
        If the text is neither, or a time of day comes without an offset.

    Examples
    --------
    >>> read_instant("1997-10-01").isoformat()
    '1997-10-01T00:00:00+00:00'
    >>> read_instant("1997-10-01T12:00:00")
    Traceback (most recent call last):
    ...
    features.errors.InstantUnreadable: the date '1997-10-01T12:00:00' is not an instant. Allowed: a date such as \
1997-10-01 (midnight UTC) or an ISO 8601 time with its offset such as 1997-10-01T12:00:00+00:00.
    """
    stripped = text.strip()
    try:
        if len(stripped) == len("1997-10-01"):
            day = date.fromisoformat(stripped)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        instant = datetime.fromisoformat(stripped)
        if instant.tzinfo is None:
            raise InstantUnreadable(name, text)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InstantUnreadable(name, text) from None


def write_instant(instant: datetime) -> str:
    """Write an instant as ISO 8601 in UTC, dates at midnight without their time.

    Examples
    --------
    >>> write_instant(datetime(1997, 10, 1, tzinfo=UTC))
    '1997-10-01'
    >>> write_instant(datetime(1997, 10, 1, 6, tzinfo=UTC))
    '1997-10-01T06:00:00Z'
    """
    utc = instant.astimezone(UTC)
    if (utc.hour, utc.minute, utc.second, utc.microsecond) == (0, 0, 0, 0):
        return utc.date().isoformat()
    return utc.isoformat().replace("+00:00", "Z")


def last_observed_day(cutoff: datetime) -> date:
    """The day that holds the instant just before the cutoff: the last one of which anything is known."""
    return (cutoff.astimezone(UTC) - timedelta(microseconds=1)).date()
