"""Days and hours of a rule, in the site's time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIDNIGHT = time()


@dataclass(frozen=True)
class Span:
    """Hours of a day: `end` is not in it any more. With an end that is not after the beginning it goes over midnight."""

    begin: time
    end: time


def is_within(when: int, zone: ZoneInfo, days: frozenset[int] | None, hours: Span | None) -> bool:
    """Whether a time (ns since the epoch) lies in the days and the hours; what is after midnight belongs to the day on which the hours began."""
    if days is None and hours is None:
        return True
    local = (_EPOCH + timedelta(microseconds=when // 1000)).astimezone(zone)
    day, now = local.weekday(), local.time()
    if hours is not None:
        if hours.begin < hours.end:
            inside = hours.begin <= now < hours.end
        else:
            inside = now >= hours.begin or now < hours.end
            day = (day - 1) % 7 if now < hours.end else day
        if not inside:
            return False
    return days is None or day in days


def days_of(texts: Iterable[str]) -> frozenset[int]:
    """Return the days of the week that are named, Monday 0."""
    return frozenset(day for text in texts for day in _days(text))


def span_of(text: str) -> Span:
    """Return the hours that a text such as `08:00-18:00` spells. Raise ValueError where it spells none."""
    parts = re.fullmatch(r"\s*(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)\s*", text)
    if parts:
        begin, end = (int(parts[1]), int(parts[2])), (int(parts[3]), int(parts[4]))
        if begin[0] < 24 and begin[1] < 60 and end[1] < 60 and (end[0] < 24 or end == (24, 0)) and begin != end:
            return Span(time(*begin), _MIDNIGHT if end == (24, 0) else time(*end))
    raise ValueError("expected a time of day to another, such as '08:00-18:00'")


def _days(text: str) -> list[int]:
    first, dash, last = text.strip().lower().partition("-")
    begin, end = _day(first), _day(last if dash else first)
    return [(begin + ahead) % 7 for ahead in range((end - begin) % 7 + 1)]


def _day(text: str) -> int:
    name = text.strip()
    for number, known in enumerate(_NAMES):
        if name in (known, known[:3]):
            return number
    raise ValueError("expected days of the week, such as 'mon-fri' or 'sun'")


def _check_days(text: str) -> str:
    _days(text)
    return text


def _check_hours(text: str) -> str:
    span_of(text)
    return text


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected the name of a time zone, such as 'Europe/Berlin' or 'UTC'") from None
    return name


Days = Annotated[str, AfterValidator(_check_days)]
Hours = Annotated[str, AfterValidator(_check_hours)]
Zone = Annotated[str, AfterValidator(_check_zone)]
