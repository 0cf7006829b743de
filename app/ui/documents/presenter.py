"""Rows and sentences of the page Documents. It draws nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from quarry.app.documents.catalog import Listed, Listing, Passage, Shown
from quarry.app.documents.skips import SkippedFile
from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.shown_text import Row, Say, counted, safe, told
from quarry.app.watched import Watched
from quarry.app.words import part
from quarry.indexer.readers.left_out import told as told_left_out
from quarry.indexer.readers.reasons import REASONS
from quarry.indexer.storage.texts.conditions import parse_expression

PER_PAGE = 100
_LANGUAGES = {
    "zh": ("Chinese", "中文"),
    "en": ("English", "英文"),
    "mixed": ("both", "中英文"),
    "other": ("other", "其他"),
}
_UNTOLD = frozenset({"left_out", "times", "source", "format", "modified", "charset", "lang"})


def conditions_of(lines: str) -> dict[str, list[str]] | None:
    """Return the filters of conditions such as `lang=zh`, one a line; None without any.

    Raises:
        BadFilter: If a line is not a condition.
    """
    wanted: dict[str, list[str]] = {}
    for line in lines.splitlines():
        if line.strip():
            key, value = parse_expression(line)
            wanted.setdefault(key, []).append(value)
    return wanted or None


def document_rows(documents: Sequence[Listed], say: Say) -> list[Row]:
    """Return the table of documents."""
    return [
        {
            say("Title", "标题"): safe(document.title),
            say("Type", "类型"): safe(document.format) or say("program", "程序写入"),
            say("Language", "语言"): language(document.language, say),
            say("Size", "大小"): size(document.bytes),
            say("Modified", "修改日期"): safe(document.modified),
            say("Passages", "段落"): document.passages,
            say("Left out", "未读取"): left_out(document.left_out, say),
            say("Id", "编号"): safe(document.id),
        }
        for document in documents
    ]


def language(code: str, say: Say) -> str:
    """Return a language's name; one that a document declares itself stays as it is."""
    return say(*_LANGUAGES[code]) if code in _LANGUAGES else safe(code)


def size(count: int | None) -> str:
    """Return bytes in a unit that people read, empty for None."""
    if count is None:
        return ""
    if count < 1_000:
        return f"{count} B"
    return f"{count / 1e3:,.0f} kB" if count < 1_000_000 else f"{count / 1e6:,.1f} MB"


def left_out(counts: Mapping[str, int], say: Say) -> str:
    """Return what a reader left out, without what to do."""
    parts = told_left_out(counts)
    english, chinese = (
        ", ".join(part(one, "found", "en") for one in parts),
        "、".join(part(one, "found", "zh") for one in parts),
    )
    return safe(say(english, chinese))


def range_words(listing: Listing, say: Say) -> str:
    """Return which documents are shown, of how many."""
    if not listing.total:
        return say("No document matches.", "没有符合条件的文档。")
    first, last = listing.start + 1, listing.start + len(listing.documents)
    many = counted(listing.total, "document", "documents")
    return say(f"{first:,} to {last:,} of {many}", f"第 {first:,} 至 {last:,} 个，共 {listing.total:,} 个文档")


def fact_rows(shown: Shown, say: Say) -> list[Row]:
    """Return the table of a document's facts."""
    document = shown.document
    facts: list[tuple[str, Any]] = [
        (say("Id", "编号"), document.id),
        (say("Source", "来源"), document.source),
        (say("Type", "类型"), document.format),
        (say("Language", "语言"), language(document.language, say)),
        (say("Size", "大小"), size(document.bytes)),
        (say("Modified", "修改日期"), document.modified),
        (say("Characters", "字符数"), f"{document.characters:,}"),
        (say("Passages", "段落"), f"{document.passages:,}"),
        (say("Left out", "未读取"), left_out(document.left_out, say)),
        *((key, value) for key, value in shown.meta.items() if key not in _UNTOLD),
    ]
    return [
        {say("Fact", "项目"): safe(str(name)), say("Value", "值"): safe(str(value))}
        for name, value in facts
        if value not in ("", None)
    ]


def passage_words(passage: Passage, number: int, of: int, say: Say) -> str:
    """Return the line above a passage: its number, place and headings."""
    page = say(f"page {passage.page}", f"第 {passage.page} 页") if passage.page else ""
    characters = say(
        f"characters {passage.start:,} to {passage.end:,}", f"第 {passage.start:,} 至 {passage.end:,} 字符"
    )
    parts = (
        say(f"Passage {number} of {of}", f"第 {number} 段，共 {of} 段"),
        page,
        passage.time,
        characters,
        passage.heading,
    )
    return safe(" · ".join(part for part in parts if part))


def skip_rows(skips: Sequence[SkippedFile], say: Say) -> list[Row]:
    """Return the table of skipped files."""
    reasons = {str(reason): message for reason, message in REASONS.items()}
    return [
        {
            say("File", "文件"): safe(skip.source),
            say("Reason", "原因"): told(reasons[skip.reason], say) if skip.reason in reasons else safe(skip.reason),
            say("Details", "说明"): told(skip.detail, say),
        }
        for skip in skips
    ]


def watch_words(found: Watched | None, say: Say, clock: Clock, *, begins: bool) -> str:
    """Return whether the folders are watched, since when, and the last build.

    Args:
        found: Who watches; None for nobody.
        say: Picks the language.
        clock: The reader's.
        begins: Whether the app has just begun to.
    """
    if found is None and begins:
        return say("Looking at the folders …", "正在查看文件夹……")
    if found is None:
        return say(
            "Nobody watches the folders: what changes in them is read when they are indexed again.",
            "没有监视这些文件夹：其中的改动要重新索引后才会读取。",
        )
    folders = safe(say(", ", "、").join(found.folders))
    since, built = clock.moment(found.since), clock.moment(found.built)
    return say(
        f"Watched since {since}, so changes appear by themselves: {folders}. Last looked at {built} (generation {found.generation}).",
        f"自 {since} 起受到监视，改动会自动出现：{folders}。上次读取于 {built}（版本 {found.generation}）。",
    )
