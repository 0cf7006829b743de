"""What the menus for time and folders offer, and that a period survives the address."""

from datetime import date

import pytest

from quarry.app.ui.search.filter_presenter import (
    bounds_of,
    changed_on,
    days_of,
    folder_counts,
    period_counts,
    period_name,
)
from tests.app.ui.languages import chinese, english

TODAY = date(2026, 11, 26)


def test_folders_are_offered_where_documents_first_differ():
    sources = [("docs/en/a.md", 1), ("docs/en/deep/b.md", 2), ("docs/zh/c.md", 1)]
    assert folder_counts(sources) == {"docs/en/*": 3, "docs/zh/*": 1}
    assert folder_counts([*sources, ("upload/d.md", 5)]) == {"upload/*": 5, "docs/*": 4}


@pytest.mark.parametrize(
    "sources",
    [[], [("a.md", 1), ("b.md", 1)], [("docs/a.md", 1), ("docs/b.md", 1)], [("docs/a.md", 1), ("docs/en/b.md", 1)]],
)
def test_one_folder_is_no_choice(sources):
    assert folder_counts(sources) == {}


def test_a_folder_that_a_pattern_cannot_name_is_not_offered():
    assert folder_counts([("a*/x.md", 1), ("ab/y.md", 1), ("c/z.md", 1)]) == {"ab/*": 1, "c/*": 1}


def test_periods_count_the_documents_changed_within_them():
    modified = changed_on([("2026-11-26", 2), ("2026-11-19", 1), ("2026-11-18", 4), ("2025-11-25", 8), ("never", 16)])
    assert period_counts(modified, TODAY) == {"week": 3, "month": 7, "year": 7}
    assert period_name("week", {"week": 1_200}, english) == "last 7 days (1,200)"
    assert period_name("dates", {"week": 3}, chinese) == "起止日期"


@pytest.mark.parametrize("days", [(TODAY, None), (None, TODAY), (date(2024, 4, 1), TODAY)])
def test_a_period_is_read_back_from_its_conditions(days):
    assert days_of(bounds_of(*days)) == days


@pytest.mark.parametrize(
    "bounds", [(), ("2024-04-01",), (">2024-04-01",), (">=2024",), (">=2024-04-01", ">=2024-05-01")]
)
def test_other_conditions_on_the_day_are_no_period(bounds):
    assert days_of(bounds) is None
