"""Words and HTML for files that were added or left out. It draws nothing."""

from collections.abc import Mapping, Sequence

from quarry.app.ui.shared.shown_text import Say, inert, told
from quarry.indexer.corpus.walk import Skipped
from quarry.indexer.readers.base import Reason

_MOST_SHOWN = 50
REASONS: Mapping[Reason, tuple[str, str]] = {
    "empty": ("empty file", "空文件"),
    "no text": ("no text", "没有文字"),
    "encrypted": ("encrypted", "已加密"),
    "unsupported format": ("unsupported format", "不支持的格式"),
    "damaged": ("damaged or not what its name says", "已损坏，或内容与扩展名不符"),
    "too large": ("too large", "过大"),
    "too many files": ("too many files", "文件过多"),
    "archive bomb": ("unpacks to far too much", "解压后过大"),
    "not a regular file": ("not a regular file", "不是普通文件"),
    "link loop": ("link loop", "循环链接"),
    "time limit": ("took too long to read", "读取超时"),
    "memory limit": ("needs too much memory", "内存不足"),
    "duplicate id": ("duplicate id", "标识重复"),
    "missing extra": ("a package is missing", "缺少软件包"),
    "unreadable": ("cannot be read", "无法读取"),
    "wrong row": ("invalid row", "无效的行"),
    "being written": ("still being written", "正在写入"),
    "partly read": ("read in part", "仅部分读取"),
}


def left_out_html(skipped: Sequence[Skipped], say: Say) -> str:
    """Return the list of files and rows that were left out, each with its reason; at most 50."""
    colon, stop = say(": ", "："), say(". ", "。")
    rows = "".join(
        f"<li><b>{inert(skip.source)}</b>{colon}{say(*REASONS[skip.reason])}{stop}{inert(told(skip.detail, say))}</li>"
        for skip in skipped[:_MOST_SHOWN]
    )
    return f"<div class='q-place'>{say('Left out:', '未加入：')}<ul>{rows}</ul></div>"
