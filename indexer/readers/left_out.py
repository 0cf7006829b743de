"""What readers leave out of files that they do read: kinds, counts, and how they are told.

A reader counts by kind (`Reading.omitted`). The counts are kept with the document as `2 scanned_pages, 14 repeated_lines`, which people can
read and `counts_of` reads back; `told` makes the messages that commands and pages show.
"""

from collections.abc import Callable, Mapping

from quarry.indexer.messages import Message

QUIET = frozenset({"repeated_lines", "ruby_readings", "menus", "pictures"})
"""Kinds that are no loss: they are counted and shown, and the file does not stand among those that were partly read."""

_TOLD: dict[str, Callable[[int], Message]] = {
    "scanned_pages": lambda count: Message.of(
        "readers.left_scanned",
        "{count:page that is a picture|pages that are pictures}",
        do="Read with --ocr",
        count=count,
    ),
    "garbled_pages": lambda count: Message.of(
        "readers.left_garbled",
        "{count:page whose text layer is garbage|pages whose text layer is garbage}",
        do="Read with --ocr",
        count=count,
    ),
    "unread_scans": lambda count: Message.of(
        "readers.left_unread",
        "{count:page in which no text was recognized|pages in which no text was recognized}",
        count=count,
    ),
    "ruby_readings": lambda count: Message.of("readers.left_ruby", "{count:ruby reading|ruby readings}", count=count),
    "formulas": lambda count: Message.of(
        "readers.left_formulas", "{count:formula without a value|formulas without a value}", count=count
    ),
    "attachments": lambda count: Message.of(
        "readers.left_attachments",
        "{count:attachment that cannot be read|attachments that cannot be read}",
        count=count,
    ),
    "embedded_files": lambda count: Message.of(
        "readers.left_embedded",
        "{count:embedded file|embedded files}",
        do="Save them as files of their own",
        count=count,
    ),
    "menus": lambda count: Message.of("readers.left_menus", "{count:menu of a page|menus of pages}", count=count),
    "pictures": lambda count: Message.of("readers.left_pictures", "{count:picture|pictures}", count=count),
    "cut_outputs": lambda count: Message.of(
        "readers.left_outputs", "{count:end of a long output|ends of long outputs}", count=count
    ),
    "repeated_lines": lambda count: Message.of(
        "readers.left_repeated",
        "{count:line that repeats over the pages|lines that repeat over the pages}",
        do="Keep such lines with --keep-repeated",
        count=count,
    ),
}


def as_meta(omitted: Mapping[str, int]) -> str:
    """Return counts as the metadata of a document holds them, empty when nothing was left out."""
    return ", ".join(f"{count} {kind}" for kind, count in omitted.items() if count)


def counts_of(meta: str) -> dict[str, int]:
    """Return the counts that `as_meta` wrote.

    Example:
        >>> counts_of("2 scanned_pages, 14 repeated_lines")
        {'scanned_pages': 2, 'repeated_lines': 14}
    """
    counts: dict[str, int] = {}
    for part in meta.split(", "):
        count, _, kind = part.partition(" ")
        if kind and count.isdigit():
            counts[kind] = int(count)
    return counts


def losses(omitted: Mapping[str, int]) -> dict[str, int]:
    """Return the counts that are a loss.

    Example:
        >>> losses({"scanned_pages": 2, "repeated_lines": 14})
        {'scanned_pages': 2}
    """
    return {kind: count for kind, count in omitted.items() if kind not in QUIET}


def told(omitted: Mapping[str, int]) -> list[Message]:
    """Return a message for each kind; a kind that an older version wrote is shown as it is."""
    return [
        _TOLD[kind](count)
        if kind in _TOLD
        else Message.of("readers.left_other", "{count} {kind}", count=count, kind=kind)
        for kind, count in omitted.items()
        if count
    ]
