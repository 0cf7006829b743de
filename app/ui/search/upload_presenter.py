"""Words and HTML for files that were added or left out. It draws nothing."""

from collections.abc import Mapping, Sequence

from quarry.app.ui.index.first import phase_name
from quarry.app.ui.shared.shown_text import Say, counted, inert, told
from quarry.app.uploads import MAX_FILE_MEGABYTES, MAX_FILES, MAX_TOTAL_MEGABYTES, Progress
from quarry.indexer.build import BuildReport
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.readers.base import Reason
from quarry.indexer.readers.reasons import REASONS

_MOST_SHOWN = 50  # of each reason


def limits(say: Say) -> str:
    """Return what may be uploaded, and what happens to it."""
    return say(
        f"Up to {MAX_FILES} files at once, {MAX_FILE_MEGABYTES} MB each and {MAX_TOTAL_MEGABYTES} MB together. "
        "They are added to this index for everyone who uses it.",
        f"一次最多 {MAX_FILES} 个文件，每个不超过 {MAX_FILE_MEGABYTES} MB，合计不超过 {MAX_TOTAL_MEGABYTES} MB。"
        "加入后所有使用此索引的人都能搜到。",
    )


def progress_words(now: Progress, say: Say) -> str:
    """Return how far a job is: files while they are read, afterwards the phase and what it counts."""
    name = phase_name(now.phase, say)
    if not now.total:
        return name
    if now.phase == "reading":
        files = counted(now.total, "file", "files")
        return say(f"{name}: {now.done:,} of {files}", f"{name}：第 {now.done:,} 个，共 {now.total:,} 个文件")
    return say(f"{name}: {now.done:,} of {now.total:,}", f"{name}：{now.done:,}/{now.total:,}")


def outcome_words(report: BuildReport, known: int, say: Say) -> str:
    """Return what became of the documents that could be read.

    Args:
        report: Of the build.
        known: How many documents the index had already.
        say: Picks the language.
    """
    parts = [say(f"{counted(report.added, 'document', 'documents')} added", f"新增 {report.added:,} 个文档")]
    if report.changed:
        parts.append(say(f"{report.changed:,} changed", f"更新 {report.changed:,} 个"))
    if known:
        parts.append(say(f"{known:,} already there", f"{known:,} 个已在索引中"))
    total = counted(report.documents, "document", "documents")
    return say(
        f"{', '.join(parts)}; the index now has {total}.", f"{'，'.join(parts)}；索引现有 {report.documents:,} 个文档。"
    )


def left_out_html(skipped: Sequence[Skipped], say: Say) -> str:
    """Return the files and rows that were left out, by reason; at most 50 of each are named."""
    groups: dict[Reason, list[Skipped]] = {}
    for skip in skipped:
        groups.setdefault(skip.reason, []).append(skip)
    head = say(f"Left out: {len(skipped):,}", f"未加入：{len(skipped):,} 项")
    return f"<div class='q-place'>{head}<ul>{_rows(groups, say)}</ul></div>"


def _rows(groups: Mapping[Reason, Sequence[Skipped]], say: Say) -> str:
    colon = say(": ", "：")
    rows = []
    for reason, skips in groups.items():
        named = "".join(
            f"<li><b>{inert(skip.source)}</b>{colon}{inert(told(skip.detail, say))}</li>"
            for skip in skips[:_MOST_SHOWN]
        )
        more = len(skips) - _MOST_SHOWN
        rest = f"<li>{say(f'and {more:,} more', f'另有 {more:,} 项')}</li>" if more > 0 else ""
        rows.append(f"<li>{told(REASONS[reason], say)} ({len(skips):,})<ul>{named}{rest}</ul></li>")
    return "".join(rows)
