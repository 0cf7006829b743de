"""Where sentences begin and end, in Chinese and English: exact character ranges, and how many tokens a text has at most."""

import re
from collections.abc import Iterator

from quarry.retriever.shown.highlight import Span

_END = re.compile(
    r"(?P<sign>(?:[。！？]|…{2})+[\"”’』」）)】》]*|(?<![.!?])[.!?]++[\"”’')]*+(?=\s|$|[\u3400-\u9fff\[【［]))"
    r"|(?P<paragraph>\n[ \t]*\n\s*|\f\s*)|(?P<line>\n)"
)
_NOT_AN_END = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|vs|etc|cf|Fig|Figs|Eq|No|Nos|Vol|pp|al|approx|e\.g|i\.e|Inc|Ltd|Co|U\.S|a\.m|p\.m)"
    r"|(?<![^\W\d_])[A-Z]|(?:^|\n)[ \t]*\d{1,3})\.$"
)
_NEW_ITEM = re.compile(r"[ \t]*(?:[#>|*+•·-]|\d{1,3}[.)、]|[（(]?[一二三四五六七八九十]+[)）、])")
_WRAPPED_FROM = 50  # characters: a shorter line without an end sign ends where its author ended it
_PIECE = re.compile(
    r"(?P<han>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af])"
    r"|(?P<latin>[A-Za-z\u00c0-\u024f]+)|(?P<digits>\d+)|(?P<sign>\S)"
)
_LATIN_PER_TOKEN, _DIGITS_PER_TOKEN = 4, 2


def sentence_spans(text: str) -> list[Span]:
    """Return the character ranges of the sentences, in order, without white space at their edges.

    A sentence ends at its sign, at a blank line, at a page's end, and at the end of a line that was not merely wrapped. Together
    the ranges cover everything that is not white space.
    """
    return list(_spans(text))


def _spans(text: str) -> Iterator[Span]:
    start = 0
    for match in [*_END.finditer(text), None]:
        end = match.end() if match else len(text)
        if match and not _ends(text, start, match):
            continue
        piece = text[start:end]
        if piece.strip():
            first = start + len(piece) - len(piece.lstrip())
            yield first, start + len(piece.rstrip())
        start = end


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    if match.lastgroup == "sign":
        return not (
            match.group().endswith(".") and _NOT_AN_END.search(text[max(start, match.end() - 14) : match.end()])
        )
    if match.lastgroup == "line":
        line = text.rfind("\n", 0, match.start()) + 1
        heading = text.startswith("#", line)
        return heading or match.start() - line < _WRAPPED_FROM or bool(_NEW_ITEM.match(text, match.end()))
    return True


def tokens_at_most(text: str) -> int:
    """Return about how many tokens a language model reads in a text, rather too many than too few.

    The tokenizer of a configured endpoint is not known. One for each East Asian character and each sign, one for every
    begun four letters of a Latin word and every begun two digits is above what the XLM-R tokenizer counts on the demo corpus.
    """
    total = 0
    for match in _PIECE.finditer(text):
        length = match.end() - match.start()
        if match.lastgroup == "latin":
            total += -(-length // _LATIN_PER_TOKEN)
        elif match.lastgroup == "digits":
            total += -(-length // _DIGITS_PER_TOKEN)
        else:
            total += 1
    return total
