"""The page of `quarry report --html`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from quarry.app.cli.report.charts import Bar, bars
from quarry.app.cli.report.page import Page
from quarry.app.words import InterfaceLanguage
from quarry.indexer.messages import Message
from quarry.indexer.readers.left_out import told

if TYPE_CHECKING:
    from quarry.app.hygiene.state import State

MOST = 20
"""Lines of a list."""


def state_page(state: "State", name: str, language: InterfaceLanguage) -> Page:
    """Return the page of a collection's state."""
    page = Page(name, language)
    for sentence in sentences(state):
        page.paragraph(page.say(sentence))
    for heading, counts in (
        (Message.of("cli.state_formats", "Formats"), state.formats),
        (Message.of("cli.state_languages", "Languages"), state.languages),
        (Message.of("cli.state_years", "Year of the last change"), dict(sorted(state.years.items()))),
    ):
        _counted(page, page.say(heading), counts)
    for heading, lines in lists(state):
        if lines:
            page.heading(page.say(heading))
            for line in lines[:MOST]:
                page.paragraph(line)
            _more(page, len(lines))
    return page


def more(count: int) -> Message:
    """Return what stands below the first lines of a list."""
    return Message.of("cli.state_more", "{count:,} more; --json lists all", count=count - MOST)


def sentences(state: "State") -> list[Message]:
    """Return the state in sentences."""
    found = [
        Message.of(
            "cli.state_size",
            "{documents:document|documents} in {passages:passage|passages}",
            documents=state.documents,
            passages=state.passages,
        )
    ]
    if state.left_out:
        found.append(Message.of("cli.state_left_out", "not read: {parts:;}", parts=told(state.left_out)))
    if state.skipped:
        found.append(Message.of("cli.state_skipped", "{count:file|files} skipped", count=state.skipped))
    if state.never_found is None:
        found.append(
            Message.of(
                "cli.state_few_questions",
                "what is never found is told from 20 questions on; the feedback log has {count}",
                count=state.questions,
            )
        )
    else:
        found.append(
            Message.of(
                "cli.state_never_found",
                "{count:document was|documents were} among the results of none of {questions:question|questions}",
                count=len(state.never_found),
                questions=state.questions,
            )
        )
    return found


def lists(state: "State") -> list[tuple[Message, list[str]]]:
    """Return the lists of a state, each with its heading."""
    return [
        (Message.of("cli.state_duplicates", "Nearly the same"), [" = ".join(group) for group in state.duplicates]),
        (
            Message.of("cli.state_stale", "Old, and still among the first results"),
            [f"{one.modified}  {one.title} ({one.id}): {one.questions}" for one in state.stale],
        ),
        (Message.of("cli.state_never", "Never found"), list(state.never_found or ())),
        (Message.of("cli.state_open", "Questions without a good answer"), list(state.open_questions)),
    ]


def _counted(page: Page, heading: str, counts: Mapping[str, int]) -> None:
    if not counts:
        return
    page.heading(heading)
    page.picture(bars(heading, [Bar(name, float(count)) for name, count in list(counts.items())[:MOST]], digits=0))
    _more(page, len(counts))


def _more(page: Page, count: int) -> None:
    if count > MOST:
        page.paragraph(page.say(more(count)))


def numbers(counts: Mapping[str, int]) -> str:
    """Return counts in one line."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
