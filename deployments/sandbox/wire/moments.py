"""Instants: parsing, formatting as Close does, and conversion to integer microseconds for storage."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """The current time in milliseconds, as precise as Close."""
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(moment: datetime) -> datetime:
    """*moment* truncated to milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The instant that is *value* microseconds after 1970, UTC."""
    return EPOCH + value * MICROSECOND


def format_moment(moment: datetime | None) -> str | None:
    """Formats a date as in objects of Close: ``2022-02-01T18:23:34.666000+00:00``."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")


def format_event_moment(moment: datetime) -> str:
    """Formats a date as in the event log: UTC, but without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def parse_moment(text: str, offset: timedelta = timedelta(0)) -> datetime:
    """Parse an ISO date or datetime; without a zone it is local, *offset* east of UTC.

    Raises ValueError, for a moment that is beyond the calendar in UTC too.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.replace(tzinfo=UTC) - offset if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def start_of_day(day: date, offset: timedelta) -> datetime:
    """Midnight at the beginning of the local *day*, *offset* east of UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - offset
