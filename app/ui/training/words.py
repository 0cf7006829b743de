"""Stages and times of training in the interface's language."""

from quarry.app.ui.shared.shown_text import Say, told
from quarry.indexer.messages import Message


def stage_words(message: Message, say: Say) -> str:
    """Return what a run is at."""
    return told(message, say)


def seconds_words(seconds: float, say: Say) -> str:
    """Return a time in two units at most."""
    whole = max(0, round(seconds))
    if whole < 60:
        return say(f"{whole} s", f"{whole} 秒")
    if whole < 3600:
        return say(f"{whole // 60} min {whole % 60:02d} s", f"{whole // 60} 分 {whole % 60:02d} 秒")
    return say(f"{whole // 3600} h {whole % 3600 // 60:02d} min", f"{whole // 3600} 小时 {whole % 3600 // 60:02d} 分")
