"""Histograms: counts by pencil, and bars in proportion."""

from quarry.training.examples.histogram import Histogram


def test_counts_by_pencil():
    found = Histogram.of([0.0, 0.1, 0.25, 0.5, 1.0, 1.0], bins=4)
    assert found.edges == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert found.counts == (2, 1, 1, 2)
    assert (round(found.mean, 4), found.median) == (0.475, 0.375)


def test_values_outside_a_given_span_are_in_the_outermost_bins():
    assert Histogram.of([-5, 0.5, 9], bins=2, span=(0, 1)).counts == (1, 2)


def test_bars_are_in_proportion_and_never_hide_a_value():
    lines = Histogram.of([0] * 100 + [1] * 50 + [2], bins=3).lines(width=10)
    assert [line.count("█") for line in lines] == [10, 5, 1]
    assert [line.split()[-1] for line in lines] == ["100", "50", "1"]


def test_nothing_and_equal_values():
    assert Histogram.of([]).lines() == []
    assert sum(Histogram.of([3.0, 3.0]).counts) == 2
