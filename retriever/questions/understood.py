"""What a query asks for besides its words: exact phrases in quotation marks, and what to leave out.

    "spare line" pump -motor        phrases: spare line; left out: motor; searched for: "spare line" pump

Quotation marks are "...", “...”, 「...」 and 『...』. A straight mark after a letter or digit, as in 15" or 6'2", opens none. `-word` and
`-"a phrase"` leave out when the hyphen follows white space or begins the query: not in `e-mail`, `-40`, `--rebuild` or the flag `-r`.
In a query as long as a paragraph both are ordinary signs: who pastes prose does not mean them as orders.

Of a query without either, courtesies around the question are left out (`quarry.retriever.questions.small_talk`).
"""

import re
from dataclasses import dataclass

from quarry.retriever.questions.small_talk import without_small_talk

_STRAIGHT = r"(?<![A-Za-z0-9])\"(?=\S)([^\"\n]{0,198}[^\"\s])\"(?![A-Za-z0-9])"
_PAIRED = r"“\s*([^“”\n]{1,200}?)\s*”|「\s*([^「」\n]{1,200}?)\s*」|『\s*([^『』\n]{1,200}?)\s*』"
_PHRASE = re.compile(f"{_STRAIGHT}|{_PAIRED}")
_EXCLUDED = re.compile(rf"(?<!\S)[-－](?:{_STRAIGHT}|{_PAIRED}|([^\W\d_][^\s\"“”「」『』]*))")
_FLAG = re.compile(r"[A-Za-z]")  # one letter after a hyphen
_ENDS = ".,;:!?。，；：！？、)）"
MOST = 10  # phrases, and things left out, that are obeyed
LONGEST = 256  # columns of a query that may have operators; a Chinese character has two
_WORDS = re.compile(r"\w")
_WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60]")


@dataclass(frozen=True, slots=True)
class Understood:
    """A query as it is carried out.

    Attributes:
        text: What is searched for: the query without what it leaves out and without courtesies. Quoted phrases stay in it.
        phrases: Strings that a passage must hold, if one does.
        excluded: Words and phrases that no passage may hold.
        courtesies: Whether courtesies around the question were left out.
    """

    text: str
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    courtesies: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it says nothing of which passages may come out."""
        return not (self.phrases or self.excluded)

    @property
    def only_phrases(self) -> bool:
        """Whether nothing but the phrases is asked for."""
        return bool(self.phrases) and not _WORDS.search(_PHRASE.sub(" ", self.text))

    @property
    def only_excludes(self) -> bool:
        """Whether the query only says what to leave out."""
        return bool(self.excluded) and not _WORDS.search(self.text)


def understand(query: str) -> Understood:
    """Read the operators of a query.

    Example:
        >>> understand('"spare line" pump -motor e-mail -40')
        Understood(text='"spare line" pump e-mail -40', phrases=('spare line',), excluded=('motor',), courtesies=False)
    """
    if len(query) + len(_WIDE.findall(query)) > LONGEST:
        return _asked(" ".join(query.split()))
    excluded: list[str] = []

    def leave_out(match: re.Match[str]) -> str:
        found = next(piece for piece in match.groups() if piece)
        if _FLAG.fullmatch(found):
            return match.group()
        kept = found.rstrip(_ENDS)
        if kept and _WORDS.search(kept):
            excluded.append(kept)
        return " "

    text = " ".join(_EXCLUDED.sub(leave_out, query).split())
    phrases = [next(piece for piece in match.groups() if piece) for match in _PHRASE.finditer(text)]
    kept = dict.fromkeys(phrase for phrase in phrases if _WORDS.search(phrase))
    if not (kept or excluded):
        return _asked(text)
    return Understood(text, tuple(kept)[:MOST], tuple(dict.fromkeys(excluded))[:MOST])


def _asked(text: str) -> Understood:
    core = without_small_talk(text)
    return Understood(core, courtesies=core != text)
