"""Text recognition of pages that are pictures, by RapidOCR (extra `ocr`), whose models are in its wheel. Runs in the worker process."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from quarry.indexer.readers.base import Unreadable, missing_extra

_SCALE = 200 / 72  # 200 dots an inch
_LARGEST_SIDE = 4_000  # pixels
_LINE = 0.6  # times the height of a box: boxes whose middles are nearer than this stand in one line
_GAP = 0.3  # times the height: pieces of a line that are further apart are divided by a space
_THREADS = 2


class Recognizer:
    """Reads pages as pictures; loading the models takes a second or two."""

    def __init__(self) -> None:
        """Load the models.

        Raises:
            Unreadable: `missing extra` when RapidOCR is not installed.
        """
        try:
            from rapidocr import RapidOCR
        except ImportError as err:
            raise Unreadable("missing extra", missing_extra("Text recognition", "ocr")) from err
        # without its classifier of turned lines, which turned a line of an upright page upside down
        options = {
            "EngineConfig.onnxruntime.intra_op_num_threads": _THREADS,
            "Global.log_level": "error",
            "Global.use_cls": False,
        }
        self._engine: Any = RapidOCR(params=options)

    def page_text(self, page: Any) -> str:
        """Return the text of a page of a PDF.

        Args:
            page: PDFium's page.
        """
        scale = min(_SCALE, _LARGEST_SIDE / max(1.0, *page.get_size()))
        return self.picture_text(page.render(scale=scale).to_numpy())

    def picture_text(self, pixels: Any) -> str:
        """Return the text of a picture, line by line.

        Args:
            pixels: Rows, columns and colors (blue, green, red) of bytes.
        """
        found = self._engine(pixels)
        if found.txts is None or found.boxes is None:
            return ""
        return lines_of([_Piece.of(box.tolist(), text) for box, text in zip(found.boxes, found.txts, strict=True)])


class _Piece:
    """A piece of text that was recognized, and where it stands; y grows downwards."""

    def __init__(self, text: str, left: float, right: float, middle: float, height: float) -> None:
        self.text, self.left, self.right, self.middle, self.height = text, left, right, middle, height

    @classmethod
    def of(cls, corners: Sequence[Sequence[float]], text: str) -> "_Piece":
        """Take the four corners of its box."""
        across, down = [corner[0] for corner in corners], [corner[1] for corner in corners]
        return cls(text, min(across), max(across), (min(down) + max(down)) / 2, max(down) - min(down))


def lines_of(pieces: Sequence["_Piece"]) -> str:
    """Put pieces into lines, from top to bottom and from left to right."""
    lines: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda one: one.middle):
        last = lines[-1] if lines else None
        if last is not None and piece.middle - last[0].middle < _LINE * min(piece.height, last[0].height):
            last.append(piece)
        else:
            lines.append([piece])
    return "\n".join(_line(sorted(line, key=lambda one: one.left)) for line in lines)


def _line(pieces: Sequence["_Piece"]) -> str:
    text = pieces[0].text
    for before, piece in pairwise(pieces):
        text += (" " if piece.left - before.right > _GAP * piece.height else "") + piece.text
    return text
