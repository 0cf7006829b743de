"""The reader's clock: stored times are UTC, and pages show them in the time zone of the browser."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True, slots=True)
class Clock:
    """Writes times as the reader's wall clock shows them.

    Attributes:
        zone: The reader's time zone; None for that of this machine.
    """

    zone: tzinfo | None = None

    @classmethod
    def of_browser(cls, name: str | None, offset: int | None) -> "Clock":
        """Return the clock of a browser; that of this machine for a browser that says nothing usable.

        Args:
            name: IANA name of the time zone, such as `Asia/Shanghai`.
            offset: Minutes from local time to UTC, as JavaScript's `getTimezoneOffset`: -480 for Shanghai. For names that
                this machine does not know: Windows has no time zones of its own.
        """
        try:
            return cls(ZoneInfo(name)) if name else cls()
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # the browser's word, which may be anything
        try:
            return cls(timezone(-timedelta(minutes=offset))) if offset is not None else cls()
        except (ValueError, OverflowError):
            return cls()

    def local(self, at: datetime) -> datetime:
        """Return a time in the reader's zone."""
        return at.astimezone(self.zone)

    def minute(self, at: datetime) -> str:
        """Return a time to the minute: `2026-11-21 15:40`."""
        return f"{self.local(at):%Y-%m-%d %H:%M}"

    def moment(self, iso: str) -> str:
        """Return an ISO 8601 time with its offset to the minute; any other text unchanged."""
        try:
            at = datetime.fromisoformat(iso)
        except ValueError:
            return iso
        return self.minute(at) if at.tzinfo else iso
