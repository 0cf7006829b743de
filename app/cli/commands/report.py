"""`quarry report`: the state of a collection, as text, JSON, or a page with pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import fields, note, out, out_json
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import AsOption, HtmlOption, LanguageOption, principals_of
from quarry.app.words import InterfaceLanguage, words

if TYPE_CHECKING:
    from quarry.app.hygiene.state import State


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "report",
        cls=IndexCommand,
        short_help="Report duplicates, stale documents and gaps.",
        help="Report the state of a collection: formats and languages, documents that are nearly the same, old ones that still answer, "
        "those that nobody finds, and questions without a good answer.",
    )(report)


def report(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    stale_days: Annotated[
        int, typer.Option(help="Days since its last change after which a document is old.", min=1)
    ] = 730,
    seen_as: AsOption = None,
    html: HtmlOption = None,
    lang: LanguageOption = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report the state of a collection."""
    from quarry.app.hygiene.state import state_of

    found = state_of(index, stale_days=stale_days, principals=principals_of(seen_as))
    if html is not None:
        from quarry.app.cli.report.page import write_page
        from quarry.app.cli.report.state import state_page

        write_page(state_page(found, index.resolve().name, lang), html)
    if as_json:
        out_json(fields(found))
    elif html is None:
        _print(found, lang)


def _print(found: "State", lang: InterfaceLanguage) -> None:
    from quarry.app.cli.report.state import MOST, lists, more, numbers, sentences

    for sentence in sentences(found):
        out(words(sentence, lang))
    for counts in (found.formats, found.languages, dict(sorted(found.years.items()))):
        if counts:
            out(f"  {numbers(counts)}")
    for heading, lines in lists(found):
        if not lines:
            continue
        out(f"{words(heading, lang)}: {len(lines):,}")
        for line in lines[:MOST]:
            out(f"  {line}")
        if len(lines) > MOST:
            note(words(more(len(lines)), lang))
