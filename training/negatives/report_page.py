"""The mining report as a page to read, Markdown in any language of the interface, and as files."""

from collections.abc import Callable, Iterable
from json import dumps
from pathlib import Path
from typing import TypeAlias

from quarry.indexer.messages import Message, english
from quarry.indexer.storage.files.durable import write_atomic
from quarry.training.examples.rows import not_written
from quarry.training.negatives.report import MiningReport, ShownPassage

Words: TypeAlias = Callable[[Message], str]
"""Writes a message in one language."""


def markdown(report: MiningReport, words: Words = english) -> str:
    """Return a report as Markdown.

    Args:
        report: The report.
        words: Writes its messages; English when not given.
    """
    lines = [f"# {words(Message.of('negatives.title', 'Mined negatives'))}", ""]
    figure = Message.of("negatives.figure", "figure")
    lines += _table((Message.of("negatives.what", "what"), figure), report.facts.items(), words)
    if report.left_out:
        ordered = sorted(report.left_out.items(), key=lambda pair: (-pair[1], str(pair[0])))
        lines += ["", f"## {words(Message.of('negatives.left_out', 'Left out'))}", ""]
        heading = (Message.of("negatives.why", "why"), Message.of("negatives.how_many", "how many"))
        lines += _table(heading, ordered, words)
    for what, histogram in report.distributions.items():
        if histogram.counts:
            middle = Message.of(
                "negatives.middle", "mean {mean:.3f}, median {median:.3f}", mean=histogram.mean, median=histogram.median
            )
            lines += ["", f"## {words(what)}", "", words(middle), "", "```text", *histogram.lines(), "```"]
    if report.shown:
        lines += ["", f"## {words(Message.of('negatives.shown', 'Examples'))}", ""]
    for number, example in enumerate(report.shown, start=1):
        lines += [f"{number}. **{_cell(example.query)}** ({_cell(words(example.about))})", ""]
        lines += [f"   - {_mark(passage, words)} {_cell(passage.text)}" for passage in example.passages]
        lines.append("")
    if report.dropped:
        heading_of_dropped = Message.of("negatives.listed", "Dropped, with the rank of the positive")
        lines += ["", f"## {words(heading_of_dropped)}", ""]
        lines += [f"- {_cell(words(one))}" for one in report.dropped]
    return "\n".join(lines).rstrip() + "\n"


def write_report(folder: Path, name: str, report: MiningReport) -> tuple[Path, Path]:
    """Write `NAME.md` and `NAME.json`, atomically; returns their paths.

    Raises:
        FeedbackError: If the folder cannot be written.
    """
    paths = folder / f"{name}.md", folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(paths[0], markdown(report).encode("utf-8", "replace"))
        write_atomic(paths[1], dumps(report.as_json(), ensure_ascii=False, indent=1).encode("utf-8", "replace"))
    except OSError as err:
        raise not_written(folder, err) from err
    return paths


def _table(heading: tuple[Message, Message], rows: Iterable[tuple[Message, object]], words: Words) -> list[str]:
    lines = [f"| {words(heading[0])} | {words(heading[1])} |", "|---|---|"]
    return lines + [f"| {_cell(words(what))} | {_cell(figure)} |" for what, figure in rows]


def _mark(passage: ShownPassage, words: Words) -> str:
    if passage.kind is None:
        return "+"
    rank = f" #{passage.rank}" if passage.rank else ""
    score = "" if passage.score is None else f" {passage.score:.3f}"
    return f"- {words(passage.kind)}{rank}{score}:"


def _cell(value: object) -> str:
    """Return text that stays text in Markdown: no table border, no HTML, no emphasis."""
    text = str(value)
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())
