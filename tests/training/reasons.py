"""Counts by reason as sentences, to compare them with."""

from quarry.training.examples.reasons import Counts


def said(counts: Counts) -> dict[str, int]:
    """Return English sentence to count."""
    return {str(what): count for what, count in counts.items()}
