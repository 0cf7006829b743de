r"""Rich Text Format: text with headings, lists, tables, notes and comments; pictures and settings are left out.

Runs in the worker process. One pass over the bytes. Written here because the libraries for it scan with regular expressions of
quadratic time, and because a Chinese character may be one escaped byte and one plain letter (`\'d6a`).
"""

import codecs
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from quarry.indexer.readers.base import Extract, Reading, ReadOptions, Unreadable, damaged_file, first_heading, stem
from quarry.indexer.readers.charset import decode
from quarry.indexer.readers.tables import Cell, Grid, row_line

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\", re.DOTALL
)
_CHARSETS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "big5hkscs", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip  # a table
_CODE_PAGES = {936: "gb18030", 950: "big5hkscs", 932: "cp932", 949: "cp949", 65001: "utf-8"}
_SIGNS = {
    "line": "\n", "lbr": "\n", "tab": "\t", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’",
    "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip  # a table
_ESCAPED = {b"~": " ", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}
_HIDDEN = frozenset({
    "fonttbl", "colortbl", "stylesheet", "info", "pict", "objdata", "fldinst", "nonshppict", "listtable", "xe", "tc", "rxe",
    "atnid", "atnauthor", "atntime", "atndate", "atnref", "atnicn", "themedata", "datastore", "latentstyles", "filetbl",
    "revtbl", "rsidtbl", "generator", "sp", "bkmkstart", "bkmkend", "pn", "objclass",
})  # fmt: skip  # a table
_SHOWN = frozenset({"annotation", "shptxt", "footnote", "shppict", "shpinst"})
_ROW = frozenset({"trowd", "cellx", "clmrg", "clvmrg"})
_ENDS = frozenset({"par", "sect", "page", "cell", "nestcell", "row", "nestrow"})


def read_rtf(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read a Rich Text file.

    Raises:
        Unreadable: `damaged` when it does not begin as one.
    """
    del options
    if not content.lstrip().startswith(b"{\\rtf"):
        raise Unreadable("damaged", damaged_file("RTF", "it does not begin with {\\rtf"))
    rich = _Rich()
    rich.read(content)
    text = rich.text()
    title = " ".join(rich.title.split()) or first_heading(text) or stem(path)
    return Reading((Extract(text, title, {}),), omitted=+rich.omitted)


@dataclass(frozen=True, slots=True)
class _State:
    """What a group inherits and its end gives back."""

    hidden: bool = False
    destination: str = ""
    charset: str = ""
    skip: int = 1  # bytes that stand for old readers after each \u
    level: int = 0  # of the heading; 0 for text


class _Rich:
    """Collects the text of one file."""

    def __init__(self) -> None:
        self.title = ""
        self.omitted: Counter[str] = Counter()
        self._state = _State()
        self._stack: list[_State] = []
        self._fonts: dict[int, str] = {}
        self._default = "cp1252"
        self._font = 0  # the one that the table of fonts describes
        self._bytes = bytearray()
        self._words: list[str] = []
        self._cells: list[str] = []
        self._grid = Grid()
        self._merges: list[frozenset[str]] = []  # how each cell of the row at hand is merged with its neighbours
        self._merge: set[str] = set()  # of the cell that is being described
        self._blocks: list[str] = []
        self._to_skip = 0
        self._starred = False
        self._rows: list[str] = []  # of the table that goes on

    def read(self, content: bytes) -> None:
        """Take the whole file."""
        place = 0
        while match := _TOKEN.match(content, place):
            place = match.end()
            word, number, escaped, sign, brace, plain = match.groups()
            if word:
                place += self._control(word.decode(), int(number) if number else None)
            elif escaped:
                self._raw(bytes.fromhex(escaped.decode()))
            elif sign:
                self._starred = self._starred or sign == b"*"
                self._sign(_ESCAPED.get(sign, ""))
            elif brace:
                self._brace(brace)
            elif plain:
                self._raw(plain)
        self._end("par")

    def text(self) -> str:
        """Return what was collected, one block a paragraph or table."""
        self._end_table()
        return "\n\n".join(self._blocks)

    def _end_table(self) -> None:
        if self._rows:
            self._blocks.append("\n".join(self._rows))
            self._rows, self._grid = [], Grid()

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._to_skip = 0
        if brace == b"{":
            self._stack.append(self._state)
            self._starred = False
            return
        ended = self._state.destination
        level = self._state.level
        self._state = self._stack.pop() if self._stack else _State()
        if ended != self._state.destination and ended in ("footnote", "annotation", "shptxt"):
            self._words.append(" ")
        elif level and not self._state.hidden:  # paragraph settings of an inner group hold until the paragraph ends
            self._state = replace(self._state, level=level)

    def _control(self, word: str, number: int | None) -> int:
        """Obey a control word; return how many raw bytes follow it that are not text."""
        if word == "bin":
            return max(0, number or 0)
        if word == "u" and number is not None:
            self._flush()
            if not self._state.hidden:
                self._words.append(chr(number % 0x10000))
            self._to_skip = self._state.skip
            return 0
        self._flush()
        self._to_skip = 0
        starred, self._starred = self._starred, False
        if word in _HIDDEN or (starred and word not in _SHOWN):
            self.omitted["pictures"] += word == "pict" and not self._state.hidden
            self._state = replace(self._state, hidden=True, destination=word)
        elif word in _SHOWN:
            self._state = replace(self._state, hidden=self._state.hidden and word != "shptxt", destination=word)
            self._words.append(" ")
        elif word == "title" and self._state.destination == "info":
            self._state = replace(self._state, destination="title")
        else:
            self._setting(word, number)
        return 0

    def _setting(self, word: str, number: int | None) -> None:
        if word == "ansicpg" and number:
            self._default = _CODE_PAGES.get(number, _known(f"cp{number}"))
        elif word == "f" and number is not None:
            self._font = number
            self._state = replace(self._state, charset=self._fonts.get(number, ""))
        elif word == "fcharset" and number is not None:
            self._fonts[self._font] = _CHARSETS.get(number, "")
        elif word == "uc" and number is not None:
            self._state = replace(self._state, skip=min(max(number, 0), 16))
        elif word in _ROW:
            self._describe(word)
        elif word == "pard":
            self._state = replace(self._state, level=0)
        elif word == "outlinelevel" and number is not None and number < 6:
            self._state = replace(self._state, level=number + 1)
        elif word in _ENDS and not self._state.hidden:
            self._end(word)
        elif word in _SIGNS:
            self._sign(_SIGNS[word])

    def _describe(self, word: str) -> None:
        """Take how the cells of a row are merged, which is said before them."""
        if word == "trowd":
            self._merges, self._merge = [], set()
        elif word == "cellx":
            self._merges.append(frozenset(self._merge))
            self._merge.clear()
        else:
            self._merge.add(word)

    def _raw(self, content: bytes) -> None:
        skipped = min(self._to_skip, len(content))
        self._to_skip -= skipped
        if not self._state.hidden or self._state.destination == "title":
            self._bytes += content[skipped:]

    def _sign(self, text: str) -> None:
        self._flush()
        self._to_skip = 0
        if not self._state.hidden:
            self._words.append(text)

    def _flush(self) -> None:
        if not self._bytes:
            return
        text = self._bytes.decode(self._state.charset or self._default, "replace")
        if "\ufffd" in text:  # a font that names another charset than its text has
            text = decode(bytes(self._bytes)).text
        self._bytes.clear()
        if self._state.destination == "title":
            self.title += text
        else:
            self._words.append(text)

    def _row(self) -> list[Cell]:
        """Return the cells of the row that ends, those that go on from the left as a part of their first."""
        row: list[Cell] = []
        for number, text in enumerate(self._cells):
            merge = self._merges[number] if number < len(self._merges) else frozenset()
            if "clmrg" in merge and row:
                row[-1] = replace(row[-1], columns=row[-1].columns + 1)
            else:
                row.append(Cell(text, goes_on="clvmrg" in merge))
        return row

    def _end(self, word: str) -> None:
        """End a paragraph, a cell or a row."""
        self._flush()
        text = "".join(self._words).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if word.endswith("cell"):
            self._cells.append(" ".join(text.split()))
            self._words.clear()
        elif word.endswith("row"):
            line = row_line(self._grid.row(self._row()))
            self._cells = []
            if line.strip(" |"):
                self._rows.append(line)
        else:
            self._words.clear()
            lines = "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
            if lines or word == "page":
                self._end_table()
            if lines:
                self._blocks.append(f"{'#' * self._state.level} {lines}" if self._state.level else lines)
            if word == "page":
                self._blocks.append("\f")


def _known(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"
