"""The words of courtesy around a question: `hello, i was wondering if you could help me ... thanks a lot in advance`.

They move the vector of a question, hide its rare words among others and are in few passages, so that a question that is spoken or
mailed found less than its core. Every word has a weight: 3 when it says something of what is asked, -1 when it is a courtesy (`please`,
`know`, `you`), 0 when any question has it (`what`, `the`); a Chinese character has half of that. The core is the stretch with the largest
sum. What is around it is left out where it holds six words of courtesy or more: a plain `could you please tell me` stays, and so does a
question of nothing else.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_WORD = re.compile(rf"{_HAN.pattern}|(?:(?!{_HAN.pattern})[\w'’])+|[^\w\s]")
_CLAUSE = frozenset(",:;.!?，：；。！？、…")
_SHORTEST_QUESTION, _LONGEST_QUESTION = (
    12,
    2_000,
)  # characters; what is shorter has no room for courtesies, a longer text is a document
_TELLS, _HAN_TELLS = 3.0, 1.5
_LEAST = 6.0  # words of courtesy around the core
# Words of courtesy beside the core that stay, when no clause ends there: `tell me how penguins sleep`, `come from you`
_BEFORE_CORE, _AFTER_CORE = 2, 1


@dataclass(frozen=True, slots=True)
class _Words:
    """Weights of English and Chinese words that say nothing of what is asked, and the length of the longest Chinese one."""

    english: dict[str, float]
    chinese: dict[str, float]
    longest: int

    @classmethod
    @cache
    def read(cls) -> "_Words":
        """Return those of small_talk.toml, read once."""
        lists = tomllib.loads((Path(__file__).parent / "small_talk.toml").read_text(encoding="utf-8"))
        english = dict.fromkeys(lists["en"]["courtesy"].split(), -1.0) | dict.fromkeys(
            lists["en"]["any_question"].split(), 0.0
        )
        chinese = {word: -0.5 * len(word) for word in lists["zh"]["courtesy"].split()}
        chinese |= dict.fromkeys(lists["zh"]["any_question"].split(), 0.0)
        return cls(english, chinese, max(map(len, chinese)))


@dataclass(frozen=True, slots=True)
class _Unit:
    """A word or a sign of a question, where it is and what it weighs; `weight` is None for signs."""

    start: int
    end: int
    weight: float | None
    ends_clause: bool = False

    @property
    def courtesy(self) -> float:
        """How many words of courtesy it is."""
        return max(0.0, -(self.weight or 0.0))


def without_small_talk(question: str) -> str:
    """Return a question without the courtesies around it; most questions come back as they are, and all of over 2,000 characters.

    Example:
        >>> without_small_talk("hi all, i was wondering if you could tell me: how do penguins sleep? thanks a lot in advance")
        'how do penguins sleep?'
        >>> without_small_talk("您好，打扰一下，我想请问您能不能帮我看看，企鹅怎么睡觉？非常感谢")
        '企鹅怎么睡觉？'
        >>> without_small_talk("could you please tell me how penguins sleep")
        'could you please tell me how penguins sleep'
    """
    if not _SHORTEST_QUESTION <= len(question) <= _LONGEST_QUESTION:
        return question
    units = _units(question)
    first, end = _core(units)
    if first == end:
        return question
    first -= _begun(units[:first])
    end += _finished(units[end:])
    around = sum(unit.courtesy for unit in (*units[:first], *units[end:]))
    return question[units[first].start : units[end - 1].end] if around >= _LEAST else question


def _core(units: list[_Unit]) -> tuple[int, int]:
    """Return the ends of the stretch with the largest sum, of equal ones the last; an empty one when nothing tells."""
    best, found = 0.0, (0, 0)
    total, first = 0.0, 0
    for at, unit in enumerate(units):
        weight = unit.weight or 0.0
        if total <= 0 < weight:
            total, first = 0.0, at
        total += weight
        if weight > 0 and total >= best:
            best, found = total, (first, at + 1)
    return found


def _begun(before: list[_Unit]) -> int:
    """Return how many units before the core belong to it: those from the last end of a clause, but few words of courtesy."""
    courtesies = 0
    for count, unit in enumerate(reversed(before)):
        courtesies += unit.courtesy > 0
        if unit.ends_clause or courtesies > _BEFORE_CORE:
            return count
    return len(before)


def _finished(after: list[_Unit]) -> int:
    """Return how many units after the core belong to it: those to the end of its clause, but at most one word of courtesy.

    Where more follow, the first of them ends the core.
    """
    clause = next((count + 1 for count, unit in enumerate(after) if unit.ends_clause), len(after))
    courtesies = [count for count, unit in enumerate(after[:clause]) if unit.courtesy]
    return clause if len(courtesies) <= _AFTER_CORE else courtesies[0]


def _units(question: str) -> list[_Unit]:
    words = _Words.read()
    units: list[_Unit] = []
    for match in _WORD.finditer(question):
        if units and match.start() < units[-1].end:  # within a Chinese word
            continue
        if _HAN.fullmatch(match.group()):
            end = _han_end(question, match.start(), words)
            units.append(_Unit(match.start(), end, words.chinese.get(question[match.start() : end], _HAN_TELLS)))
        else:
            weight = _weight(match.group(), words.english)
            units.append(_Unit(match.start(), match.end(), weight, match.group() in _CLAUSE))
    return units


def _han_end(question: str, start: int, words: _Words) -> int:
    """Return the end of the longest word of courtesy that begins here; else of the character."""
    for length in range(words.longest, 1, -1):
        if question[start : start + length] in words.chinese:
            return start + length
    return start + 1


def _weight(word: str, english: dict[str, float]) -> float | None:
    found = english.get(word.lower().replace("’", "'"))
    if found is not None:
        return found
    return _TELLS if any(letter.isalnum() for letter in word) else None
