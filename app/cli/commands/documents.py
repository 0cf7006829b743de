"""`quarry documents`: what is in an index, how one document was cut, and what was skipped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import fields, note, out, out_json, out_line, table
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import AsOption, FilterOption, principals_of
from quarry.indexer.readers.left_out import told

if TYPE_CHECKING:
    from quarry.app.documents.catalog import Listed, Listing, Shown
    from quarry.app.documents.skips import SkippedFile

_TITLE = 40  # characters of a title in the table


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "documents",
        cls=IndexCommand,
        short_help="List the documents of an index, or show one.",
        help="List the documents of an index, or show one of them with its passages as they were cut.",
    )(documents)


def documents(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    doc_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this document with its passages.")] = None,
    filters: FilterOption = None,
    seen_as: AsOption = None,
    name: Annotated[str, typer.Option(help="Only documents with this in their id or title.")] = "",
    start: Annotated[int, typer.Option(help="Number of the first document, from 0.", min=0)] = 0,
    count: Annotated[int, typer.Option("-n", "--count", help="Number of documents.", min=1, max=100_000)] = 100,
    skipped: Annotated[bool, typer.Option("--skipped", help="List the files that were skipped, and why.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the documents of an index, or show one."""
    from quarry.app.cli.options import parse_filters
    from quarry.app.documents.catalog import list_documents, show_document
    from quarry.app.documents.skips import list_skips
    from quarry.indexer.stores.parts import live_texts

    principals = principals_of(seen_as)
    if doc_id is not None:
        with usage_errors(), live_texts(index, principals) as texts:
            shown = show_document(texts, doc_id)
        out_json(fields(shown)) if as_json else _print_document(shown)
        return
    with usage_errors(), live_texts(index, principals) as texts:
        listing = list_documents(texts, filters=parse_filters(filters or []), words=name, start=start, count=count)
    skips = list_skips(index) if principals is None else ()
    if as_json:
        out_json({**fields(listing), "skipped": skips})
        return
    if skipped:
        _print_skips(skips)
        return
    _print_list(listing)
    if skips:
        note(f"{len(skips)} skipped; --skipped lists them")


def _print_list(listing: "Listing") -> None:
    heads = ("id", "title", "format", "language", "size", "modified", "passages", "left out")
    table([_row(document) for document in listing.documents], heads)
    shown = len(listing.documents)
    if shown < listing.total:
        note(f"{listing.start + 1 if shown else 0} to {listing.start + shown} of {listing.total}; --start and -n page")


def _row(document: "Listed") -> tuple[str, ...]:
    return (
        document.id,
        document.title if len(document.title) <= _TITLE else document.title[: _TITLE - 1] + "…",
        document.format,
        document.language,
        "" if document.bytes is None else f"{document.bytes:,}",
        document.modified,
        f"{document.passages:,}",
        ", ".join(part.part("found") for part in told(document.left_out)),
    )


def _print_document(shown: "Shown") -> None:
    document = shown.document
    out_line(document.title)
    facts: dict[str, Any] = {
        "id": document.id,
        "language": document.language,
        "bytes": document.bytes if document.bytes is not None else "",
        "characters": document.characters,
        "left out": ", ".join(part.part("found") for part in told(document.left_out)),
    }
    facts |= {key: value for key, value in shown.meta.items() if key not in ("left_out", "times", "lang")}
    for key, value in facts.items():
        if value not in ("", None):
            out(f"  {key}: {value}")
    for number, passage in enumerate(shown.passages, start=1):
        place = f"page {passage.page}" if passage.page else passage.time
        where = " · ".join(part for part in (f"{passage.start}-{passage.end}", place, passage.heading) if part)
        out(f"\n[{number}/{len(shown.passages)}] {where}")
        out(passage.text)


def _print_skips(skips: "tuple[SkippedFile, ...]") -> None:
    if not skips:
        out("nothing was skipped")
    for skip in skips:
        out_line(f"{skip.source}: {skip.reason}: {skip.detail}")
