"""Checks which passages a sentence cites, whether they were shown, and whether they support what it says.

Nothing a model says of its sources is believed: a number that was not shown is taken out, and every sentence is compared
with what it cites: share of its content terms, and all of its numbers, dates, identifiers and addresses. That finds made-up
facts; it does not find a negation turned round, nor a false statement that a document really makes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from quarry.indexer.language import language_of
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.retriever.answers.facts import identifiers_in, numbers_claimed, numbers_in
from quarry.retriever.answers.packing import Packed
from quarry.retriever.answers.plain import defang, foreign_urls, urls, visible
from quarry.retriever.sentences import sentence_spans

Support: TypeAlias = Literal["supported", "unsupported", "unchecked"]
# Questions of demo_corpus/general, as stand-ins for a model's own wording: 79 % of the English and 79 % of the Chinese ones reach it on
# their own paragraph, 10 % and 10 % on the other one that shares most words with them (29 questions each)
ENOUGH_OVERLAP = 0.6
_FOUND_OVERLAP = 0.8  # for a source that the model did not name: parts of an injected sentence are in its document too
_NUMBERS = r"\d{1,40}(?:\s*[,，、;；\-–~]\s*\d{1,40})*"
_WORDS = r"(?:passages?|sources?|docs?|documents?|citations?|refs?|段落|文档|资料|来源|出处|参考)"
_GROUP = re.compile(rf"[\[【［]{{1,4}}\s*\^?(?:{_WORDS}\s*[:：#]?\s*)?({_NUMBERS})\s*[\]】］]+", re.IGNORECASE)
_LEADING = re.compile(rf"(?:\s*{_GROUP.pattern})+[。.]?", re.IGNORECASE)
_UNFINISHED = re.compile(r"[\[【［][^\]】］]{0,40}$")
_RANGE = re.compile(r"(\d+)\s*[-–~]\s*(\d+)")
_LONGEST_RANGE = 20
_LONGEST_SENTENCE = 2_000  # characters; a model that writes no sentence end is cut here


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, checked and harmless to show.

    Attributes:
        text: Without citation marks, images, foreign links and invisible characters.
        citations: Numbers of shown passages that it rests on, in order.
        support: `supported` when what it cites carries it; `unsupported` when not, or when it cites nothing; `unchecked` when its
            words cannot be compared because the source is in another language, and its numbers and names do agree.
        unknown: Numbers that it cited and that were not shown.
        missing: Numbers, identifiers and addresses of it that its passages do not have.
        overlap: Share of its content terms that its passages have, in [0, 1].
        cited_by: `model`, or `quarry` when the model named no source and one was found that carries the sentence.
        gap: White space before it, for showing it as it was written: a blank, a line feed, or two.
    """

    text: str
    citations: tuple[int, ...]
    support: Support
    unknown: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    overlap: float = 0.0
    cited_by: Literal["model", "quarry"] = "model"
    gap: str = ""


def cited_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a text cites, in order, each once: [1], [2][3], [1,2], [2-4], 【1】, ［１］, [^1], [来源1]."""
    numbers: dict[int, None] = {}
    for match in _GROUP.finditer(text):
        for part in re.split(r"[,，、;；]", match.group(1)):
            span = _RANGE.fullmatch(part.strip())
            first, last = (int(span.group(1)), int(span.group(2))) if span else (int(part), int(part))
            if last < first or last - first > _LONGEST_RANGE:
                numbers.update({first: None, last: None})
            else:
                numbers.update(dict.fromkeys(range(first, last + 1)))
    return tuple(numbers)


def without_citations(text: str) -> str:
    """Return a text without its citation marks and without the blanks before them."""
    return re.sub(rf"(?:(?<![ \t])[ \t]+)?{_GROUP.pattern}", "", text, flags=re.IGNORECASE).strip()


class SentenceFeed:
    """Cuts a streamed text into sentences, each given out only when it is complete with the citations behind it."""

    def __init__(self) -> None:
        self._waiting = ""

    def feed(self, piece: str) -> list[str]:
        """Take a piece and return the sentences that are complete now, with the white space before them."""
        self._waiting += piece
        spans = list(_cited_spans(self._waiting))
        if not spans:
            return []
        start, end = spans[-1]
        if end - start > _LONGEST_SENTENCE:
            return self._taken([*_cut(spans[:-1]), *_cut(spans[-1:])[:-1]])
        unfinished = len(spans) > 1 and _UNFINISHED.match(self._waiting, start)
        return self._taken(_cut(spans[: -2 if unfinished else -1]))

    def close(self) -> list[str]:
        """Return the rest."""
        return self._taken(_cut([*_cited_spans(self._waiting)]))

    def _taken(self, ends: Sequence[int]) -> list[str]:
        text = self._waiting
        self._waiting = text[ends[-1] :] if ends else text
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _cut(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return where sentences end; what is longer than any sentence is cut into several."""
    return [
        min(begin + _LONGEST_SENTENCE, end) for start, end in spans for begin in range(start, end, _LONGEST_SENTENCE)
    ]


def _cited_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the sentences; citations behind a full stop belong to the sentence before, unless that has its own."""
    held: tuple[int, int] | None = None
    for start, end in sentence_spans(text):
        match = _LEADING.match(text, start)
        if held and match and "\n" not in text[held[1] : start] and not _GROUP.search(text, *held):
            held = (held[0], match.end())
            rest = text[match.end() : end].lstrip()
            if not rest:
                continue
            yield held
            held = (end - len(rest), end)
            continue
        if held:
            yield held
        held = (start, end)
    if held:
        yield held


class Checker:
    """Checks sentences against the passages that were shown."""

    def __init__(self, passages: Sequence[Packed], analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._shown = {passage.number: _Shown.of(passage, analyzer) for passage in passages}

    def sentence(self, written: str) -> Sentence | None:
        """Return a sentence as it may be shown, None when nothing is left of it."""
        gap = written[: len(written) - len(written.lstrip())]
        clean = visible(written)
        numbers = cited_numbers(clean)
        body = without_citations(clean)
        if not any(character.isalnum() for character in body):
            return None
        known = tuple(number for number in numbers if number in self._shown)
        unknown = tuple(number for number in numbers if number not in self._shown)
        cited_by: Literal["model", "quarry"] = "model"
        if not numbers and (found := self._source_of(body)):
            known, cited_by = (found,), "quarry"
        support, overlap, missing = self._compare(body, known)
        allowed = frozenset().union(*(self._shown[number].urls for number in known))
        return Sentence(
            text=defang(body, allowed),
            citations=known,
            support="unsupported" if unknown and not known else support,
            unknown=unknown,
            missing=missing,
            overlap=round(overlap, 4),
            cited_by=cited_by,
            gap="\n\n" if gap.count("\n") > 1 else "\n" if "\n" in gap else " " if gap else "",
        )

    def _source_of(self, body: str) -> int | None:
        """Return the passage that alone supports a sentence without citations, the best one first."""
        found = [(self._compare(body, (number,)), -number) for number in self._shown]
        carried = [
            (overlap, number)
            for (support, overlap, _), number in found
            if support == "supported" and overlap >= _FOUND_OVERLAP
        ]
        return -max(carried)[1] if carried else None

    def _compare(self, body: str, cited: Sequence[int]) -> tuple[Support, float, tuple[str, ...]]:
        shown = [self._shown[number] for number in cited]
        terms = frozenset(self._analyzer.query_tokens(body))
        overlap = sum(any(source.has(term) for source in shown) for term in terms) / len(terms) if terms else 0.0
        missing = _missing(body, shown)
        if not shown or missing or not terms:
            return "unsupported", overlap, missing
        if overlap >= ENOUGH_OVERLAP:
            return "supported", overlap, missing
        language = language_of(body)
        other = language in ("zh", "en") and all(source.language not in (language, "mixed") for source in shown)
        return "unchecked" if other else "unsupported", overlap, missing


@dataclass(frozen=True, slots=True)
class _Shown:
    """The parts of a passage that are compared."""

    terms: frozenset[str]
    numbers: frozenset[str]
    identifiers: frozenset[str]
    urls: frozenset[str]
    lowered: str
    language: str

    def has(self, term: str) -> bool:
        """Whether it has a term; a Chinese word may have been cut in another way there."""
        return term in self.terms or (not term.isascii() and term in self.lowered)

    def has_name(self, name: str) -> bool:
        """Whether it has an identifier, with blanks in it or without (`10km`, `10 km`)."""
        return name in self.identifiers or name in self.lowered or name in "".join(self.lowered.split())

    @classmethod
    def of(cls, passage: Packed, analyzer: Analyzer) -> "_Shown":
        text = visible(f"{passage.title}\n{passage.text}")
        return cls(
            frozenset(analyzer.tokens(text)),
            numbers_in(text),
            identifiers_in(text),
            urls(passage.text),
            text.lower(),
            language_of(text),
        )


def _missing(body: str, shown: Sequence[_Shown]) -> tuple[str, ...]:
    numbers = numbers_claimed(body) - frozenset().union(*(source.numbers for source in shown))
    addresses = foreign_urls(body, frozenset().union(*(source.urls for source in shown)))
    shown_addresses = " ".join(addresses).replace("[", "").replace("]", "").lower()
    names = [
        name
        for name in sorted(identifiers_in(body))
        if not any(source.has_name(name) for source in shown) and name not in shown_addresses
    ]
    return (*sorted(numbers), *names, *addresses)
