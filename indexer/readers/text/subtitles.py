"""Subtitles (`.srt`, `.vtt`): what is said, in paragraphs; when it is said is kept beside the text."""

import re
from pathlib import Path

from quarry.indexer.readers.base import Extract, Reading, ReadOptions, Unreadable, damaged_file, stem, text_meta
from quarry.indexer.readers.charset import decode

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d\d:[\d:.]{1,20}>|\{\\[^{}]{0,200}\}")
_VOICE = re.compile(r"<v(?:\.[^ >]{0,50})?\s+([^<>]{1,100})>")
_PAUSE = 2.0  # seconds of silence that end a paragraph
_PARAGRAPH = 300  # characters after which a paragraph ends with its cue
_HAN_END = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]$")


def read_subtitles(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read what is said; `times` of the metadata holds `H:MM:SS@position` of each paragraph.

    Raises:
        Unreadable: `damaged` when no cue is in it.
    """
    decoded = decode(content, charset=options.charset)
    cues = _cues(decoded.text)
    if not cues:
        raise Unreadable("damaged", damaged_file("subtitle", "no cue with its times"))
    paragraphs: list[str] = []
    times: list[str] = []
    place, ended = 0, float("-inf")
    for start, end, text in cues:
        last = paragraphs[-1] if paragraphs else ""
        if text == last.rsplit("\n", 1)[-1]:  # shown again while the next line comes in
            ended = end
            continue
        if not paragraphs or start - ended > _PAUSE or len(last) > _PARAGRAPH:
            place += len(last) + 2 if paragraphs else 0
            times.append(f"{clock(start)}@{place}")
            paragraphs.append(text)
        else:
            paragraphs[-1] += f"\n{text}"
        ended = end
    meta = {**text_meta(decoded), "times": " ".join(times)}
    return Reading((Extract("\n\n".join(paragraphs), stem(path), meta),))


def time_at(times: str, position: int) -> str:
    """Return when the paragraph at a position of the text is said, empty when that is not known.

    Args:
        times: The metadata `times` of a document.
        position: First character of a passage.

    Example:
        >>> time_at("0:00:01@0 0:01:30@250", 300)
        '0:01:30'
    """
    found = ""
    for entry in times.split():
        time, _, place = entry.partition("@")
        if not place.isdigit() or int(place) > position:
            break
        found = time
    return found


def clock(seconds: float) -> str:
    """Return seconds as `H:MM:SS`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _cues(text: str) -> list[tuple[float, float, str]]:
    """Return start, end and text of each cue that says something."""
    cues: list[tuple[float, float, list[str]]] = []
    block: list[str] | None = None
    for line in text.split("\n"):
        if match := _CUE.match(line):
            block = []
            start, end = (_seconds(match.group(*range(first, first + 4))) for first in (1, 5))
            cues.append((start, end, block))
        elif not line.strip():
            block = None
        elif block is not None:
            block.append(_TAG.sub("", _VOICE.sub(r"\1: ", line)).strip())
    return [(start, end, words) for start, end, lines in cues if (words := _one_line(lines))]


def _one_line(lines: list[str]) -> str:
    """Join the lines of a cue: with a space, except between characters of Chinese."""
    text = ""
    for line in lines:
        glue = "" if not text or _HAN_END.search(text) else " "
        text += glue + line if line else ""
    return " ".join(text.split())


def _seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds, thousandths = parts
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{thousandths}")
