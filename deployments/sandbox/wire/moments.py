"""Instants: how they are stored (integer microseconds, UTC), written on the wire, and read from it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """The present, to the millisecond: Close shows no more."""
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(moment: datetime) -> datetime:
    """*moment* with the microseconds below a millisecond cut off."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, UTC: what the database compares."""
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The instant that is *value* microseconds after 1970, UTC."""
    return EPOCH + value * MICROSECOND


def wire(moment: datetime | None) -> str | None:
    """As Close writes dates in objects: ``2022-02-01T18:23:34.666000+00:00``."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")


def event_wire(moment: datetime) -> str:
    """As Close writes dates in the event log: UTC, but without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def read_moment(text: str, offset: timedelta = timedelta(0)) -> datetime:
    """Read an ISO date or datetime; without a zone it is taken to be local, *offset* east of UTC.

    Raises ValueError when *text* is no date, OverflowError when it is out of the calendar.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) - offset if moment.tzinfo is None else moment.astimezone(UTC)


def start_of_day(day: date, offset: timedelta) -> datetime:
    """Midnight at the beginning of the local *day*, *offset* east of UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - offset
