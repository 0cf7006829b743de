"""Words and HTML for files that were added or left out. It draws nothing."""

from collections.abc import Sequence

from quarry.app.ui.shared.shown_text import Say, inert, told
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.readers.reasons import REASONS

_MOST_SHOWN = 50


def left_out_html(skipped: Sequence[Skipped], say: Say) -> str:
    """Return the list of files and rows that were left out, each with its reason; at most 50."""
    colon, stop = say(": ", "："), say(". ", "。")
    rows = "".join(
        f"<li><b>{inert(skip.source)}</b>{colon}{told(REASONS[skip.reason], say)}{stop}{inert(told(skip.detail, say))}</li>"
        for skip in skipped[:_MOST_SHOWN]
    )
    return f"<div class='q-place'>{say('Left out:', '未加入：')}<ul>{rows}</ul></div>"
