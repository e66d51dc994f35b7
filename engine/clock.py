"""The time, passed in everywhere so that tests can hold it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

#: Gives the present time with its zone.
Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC).astimezone()
