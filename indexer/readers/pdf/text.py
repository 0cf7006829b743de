"""What the text layer of a PDF needs before it reads like the page: whole words and lines, spaced headings, columns, running heads."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

_WORD = re.compile(r"(?<![\ufffe\w])[^\W\d_]+(?![\ufffe\w])")
_DIVIDED = re.compile(r"(?<![\w-])([\d_-]*)([^\W\d_][\w-]*)\ufffe([^\W\d_]+)")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_CLOSING = "，、；：）》」』”’"
_HAN_LINE = re.compile(f"(?<=[{_HAN}{_CLOSING}])\n(?=[{_HAN}（《「『“‘{_CLOSING}。！？])")
_CUT_ADDRESS = re.compile(r"(?:^|\s)\S{0,200}\w/[\w%.~/-]{1,200}$")
_ADDRESS_GOES_ON = re.compile(r"[\w%.~-]{1,200}/[\w%~]")
_LONGEST_LINE = 12  # Han characters of a line that is long enough to go on in the next one
_SPACED = re.compile(r"(?<!\S)[^\W\d_](?: [^\W\d_]){3,}(?!\S)")
_SPACED_HAN = re.compile(f"^[{_HAN}](?:[ \u3000]+[{_HAN}]){{1,9}}(?=\r?$)", re.MULTILINE)
REMOVED = "\0"
_WORD_GAP = 1.8  # times the usual gap between spaced letters
_WIDEST_GAP = 2.2  # times the height of a letter; wider ones are columns of a table
_NUMBER = re.compile(r"(?<!\d)\d{1,5}(?!\d)")
_MARGIN = 2  # lines at the top and at the bottom of a page that may repeat
_LONGEST_HEAD = 500  # characters of a line that may be a running head
_FEWEST_PAGES = 3
_REPEATS = 0.5  # share of the pages


def joined_lines(text: str) -> str:
    """Join lines of Chinese, and addresses, that end because the page does: a word may stand on both."""
    lines = text.split("\n")
    longest = max((len(line) for line in lines), default=0)
    joined: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        goes_on = len(before.strip()) >= max(_LONGEST_LINE, 0.7 * longest)
        address = joined and _CUT_ADDRESS.search(before) and _ADDRESS_GOES_ON.match(line)
        if address or (joined and goes_on and _HAN_LINE.search(f"{before.strip()[-1:]}\n{line.strip()[:1]}")):
            joined[-1] = joined[-1].rstrip() + line.lstrip()
        else:
            joined.append(line)
    return "\n".join(joined)


def whole_words(text: str) -> str:
    """Put words together that were divided at a line's end; pdfium writes U+FFFE for the hyphen and the break.

    The rest of the text shows whether the hyphen belongs to the word: not in `con-firming`, but in `chat-optimized`.
    """
    if "\ufffe" not in text:
        return text
    words = {word.lower() for word in _WORD.findall(text)}

    def whole(match: re.Match[str]) -> str:
        prefix, before, after = match.groups()
        joined, two = f"{before}{after}", f"{before}-{after}"
        if joined.lower() in words:
            return prefix + joined
        parts = "-" in before or (len(before) > 2 and len(after) > 2 and {before.lower(), after.lower()} <= words)
        return prefix + (two if parts or not after.islower() else joined)

    return _DIVIDED.sub(whole, text).replace("\ufffe", "-")


def unspaced(text: str, text_page: Any) -> str:
    """Mark the spaces inside of words whose letters are set apart with `REMOVED`: `H A R V E S T  S U P P E R` is `HARVEST SUPPER`.

    The text stays as long as it is, so that positions hold.

    Args:
        text: The text of the page, character for character as PDFium counts them.
        text_page: Where the letters stand: a gap much wider than the others divides words.
    """
    text = _SPACED.sub(lambda match: _words(match, text_page), text)
    return _SPACED_HAN.sub(lambda match: re.sub(r"[ \u3000]", REMOVED, match[0]), text)


def _words(match: re.Match[str], text_page: Any) -> str:
    letters = match[0].split(" ")
    if [ord(letter) for letter in letters] == list(range(ord(letters[0]), ord(letters[0]) + len(letters))):
        return match[0]  # a, b, c, d: answers to choose from
    boxes = [text_page.get_charbox(place) for place in range(match.start(), match.end(), 2)]
    gaps = [after[0] - before[2] for before, after in itertools.pairwise(boxes)]
    usual = sorted(gaps)[len(gaps) // 2]
    height = max(box[3] - box[1] for box in boxes)
    if not 0 < usual <= _WIDEST_GAP * height:
        return match[0]
    return letters[0] + "".join(
        (" " if gap > _WORD_GAP * usual else REMOVED) + letter for gap, letter in zip(gaps, letters[1:], strict=True)
    )


def without_running_heads(pages: Sequence[str]) -> tuple[list[str], int]:
    """Leave out lines that stand at the top or bottom of half of the pages; the first of each kind stays, page numbers do not.

    Returns:
        The pages, and how many lines were left out.
    """
    margins = [_margins(page.split("\n"), number) for number, page in enumerate(pages)]
    counts = Counter(key for lines in margins for key in {key for keys in lines.values() for key in keys})
    enough = max(_FEWEST_PAGES, _REPEATS * len(pages))
    repeated = {key for key, count in counts.items() if count >= enough}
    if not repeated:
        return list(pages), 0
    seen: set[str] = set()
    left = 0
    out = []
    for page, lines in zip(pages, margins, strict=True):
        dropped = set()
        for at, keys in lines.items():
            again = repeated.intersection(keys)
            if again and (seen & again or not any(map(str.isalpha, keys[0]))):
                dropped.add(at)
            seen |= again
        left += len(dropped)
        out.append("\n".join(line for at, line in enumerate(page.split("\n")) if at not in dropped))
    return out, left


def _margins(lines: Sequence[str], page: int) -> dict[int, list[str]]:
    """Return the first and last lines with something in them, by number, and what may make each alike to those of other pages.

    That is the line itself, or the line with its first or last number counted from the page's own.
    """
    filled = [at for at, line in enumerate(lines) if line.strip()]
    if len(filled) <= 2 * _MARGIN:
        return {}
    keys: dict[int, list[str]] = {}
    for at in (*filled[:_MARGIN], *filled[-_MARGIN:]):
        line = " ".join(lines[at].split())
        if len(line) > _LONGEST_HEAD:
            continue
        numbers = [*_NUMBER.finditer(line)]
        keys[at] = [line] + [
            f"{line[: found.start()]}\0{int(found[0]) - page}\0{line[found.end() :]}"
            for found in (numbers[:1] + numbers[-1:])
        ]
    return keys
