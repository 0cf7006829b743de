from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from quarry.app.ui.shared.clock import Clock

MORNING = datetime(2026, 11, 21, 7, 40, tzinfo=UTC)
SUMMER = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)


def test_times_are_those_of_the_browsers_time_zone():
    shanghai, berlin = Clock.of_browser("Asia/Shanghai", -480), Clock.of_browser("Europe/Berlin", -60)

    assert shanghai.minute(MORNING) == "2026-11-21 15:40"
    assert shanghai.minute(SUMMER) == "2026-07-01 07:30"  # the next day and month
    assert (berlin.minute(MORNING), berlin.minute(SUMMER)) == ("2026-11-21 08:40", "2026-07-01 01:30")


def test_a_zone_that_this_machine_does_not_know_is_told_by_its_offset():
    assert Clock.of_browser("Mars/Olympus", -480).minute(MORNING) == "2026-11-21 15:40"


@pytest.mark.parametrize("name", [None, "", "../../etc/passwd", "/etc/localtime", "a\0b", "x" * 10_000])
@pytest.mark.parametrize("offset", [None, 10**6, -(10**12)])
def test_a_browser_that_says_nothing_usable_gets_the_time_of_the_machine(name, offset):
    assert Clock.of_browser(name, offset) == Clock()


def test_without_a_zone_times_are_those_of_the_machine():
    assert Clock().local(MORNING) == MORNING
    assert Clock().minute(MORNING) == f"{MORNING.astimezone():%Y-%m-%d %H:%M}"


def test_stored_times_are_read_with_their_offset_and_other_text_stays():
    clock = Clock(ZoneInfo("Asia/Shanghai"))

    assert clock.moment("2026-11-21T07:40:00+00:00") == "2026-11-21 15:40"
    assert clock.moment("2026-11-21T15:40:00+08:00") == "2026-11-21 15:40"
    assert Clock(timezone(timedelta(hours=-5))).moment("2026-11-21T02:40:00+00:00") == "2026-11-20 21:40"
    assert [clock.moment(text) for text in ("yesterday", "", "2026-11-21T07:40:00")] == [
        "yesterday",
        "",
        "2026-11-21T07:40:00",
    ]
