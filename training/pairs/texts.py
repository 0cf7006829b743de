"""Plain text out of text with leftovers of markup, and the faults that make a text unfit for training."""

import html
import re
from unicodedata import category, normalize

_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|br|center|cite|code|dd|div|dl|dt|em|font|h[1-6]|hr|i|img|label|li|mark|nobr|ol|p|pre|q|s|"
    r"section|small|span|strike|strong|sub|sup|table|tbody|td|th|thead|tr|tt|u|ul)(?:\s[^<>]{0,500})?/?>",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"<!--.{0,2000}?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\((?:[^()\s]{1,500})(?:\s+\"[^\"]{0,200}\")?\)")
_EMPTY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SPACES = re.compile(r"[ \t\u00a0\u3000]+")
_MOJIBAKE = re.compile(r"锟斤拷|烫烫烫|屯屯屯|\ufffd|(?:[ÃÂâåæçèéä][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]){2}")
_BLOB = re.compile(r"(?<![\w/:.-])(?=[A-Za-z0-9+/=]*[0-9])(?=[A-Za-z0-9+/=]*[A-Za-z])[A-Za-z0-9+/=]{60,}")
_WORD = re.compile(r"[A-Za-z]+")
_SILENT = re.compile(r"[^aeiouy]{5}|^[^aeiouy]+$", re.IGNORECASE)
"""A word with five consonants one after another, or with no vowel."""
LETTERS = 0.5
"""Share of letters among the characters of a passage that are no white space, at least."""
_UNSPEAKABLE = 0.4  # of the Latin words of four letters and more, at most
_LEAST_WORDS = 5  # before that is judged


def plain(text: str) -> str:
    """Return text without tags of layout, comments, targets of links, entities, controls and invisible characters.

    Example:
        >>> plain("<p>How to&nbsp;<b>renew</b></p>")
        'How to renew'
    """
    if "<" in text:
        text = _TAG.sub(" ", _COMMENT.sub(" ", text))
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "&" in text:
        text = html.unescape(text)
    if not text.isprintable():
        text = "".join(one for one in text if one in "\n\t" or category(one) not in ("Cc", "Cf", "Co", "Cs"))
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def one_line(text: str) -> str:
    """Return plain text on one line, as a query is written."""
    return " ".join(plain(text).split())


def is_broken(text: str) -> bool:
    """Tell whether a text was read in a wrong charset, or is an encoded blob."""
    return bool(_MOJIBAKE.search(text) or _BLOB.search(text))


def is_writing(text: str, letters: float = LETTERS) -> bool:
    """Tell whether this share of a text is letters, and whether its Latin words could be said."""
    if sum(map(str.isalpha, text)) < letters * sum(map(len, text.split())):
        return False
    words = [word for word in _WORD.findall(normalize("NFKD", text)) if len(word) > 3 and not word.isupper()]
    if len(words) < _LEAST_WORDS:
        return True
    return sum(_SILENT.search(word) is not None for word in words) <= _UNSPEAKABLE * len(words)
