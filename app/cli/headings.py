"""Headings and verdicts in the tables of `quarry compare` and `quarry evaluate`."""

from collections.abc import Mapping

from quarry.app.words import InterfaceLanguage, words
from quarry.indexer.messages import Message

_HEADINGS: Mapping[str, Message] = {
    "run": Message.of("cli.heading_run", "run"),
    "what": Message.of("cli.heading_what", "what"),
    "run file": Message.of("cli.heading_run_file", "run file"),
    "queries": Message.of("cli.heading_queries", "queries"),
    "against": Message.of("cli.heading_against", "against"),
    "before": Message.of("cli.heading_before", "before"),
    "after": Message.of("cli.heading_after", "after"),
    "difference": Message.of("cli.heading_difference", "difference"),
    "verdict": Message.of("cli.heading_verdict", "verdict"),
    "wins": Message.of("cli.heading_wins", "Largest wins"),
    "losses": Message.of("cli.heading_losses", "Largest losses"),
    "marks": Message.of("cli.heading_marks", "+ relevant, - not relevant, ? not judged"),
    "first relevant": Message.of("cli.heading_first_relevant", "first relevant"),
    "none": Message.of("cli.heading_none", "none"),
    "better": Message.of("cli.heading_better", "better"),
    "worse": Message.of("cli.heading_worse", "worse"),
    "no difference shown": Message.of("cli.heading_no_difference_shown", "no difference shown"),
    "too few queries": Message.of("cli.heading_too_few_queries", "too few queries"),
}


def headings(language: InterfaceLanguage) -> dict[str, str]:
    """Return name to heading; the verdicts are those of `quarry.retriever.evaluation.compare.Verdict`."""
    return {name: words(message, language) for name, message in _HEADINGS.items()}
