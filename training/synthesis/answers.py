"""What of a language model's answer can be used, and why the rest cannot. Nothing of an answer is believed."""

from json import loads
from typing import Any

from quarry.indexer.language import language_of, length_in_words
from quarry.indexer.lexical.detection import may_be
from quarry.indexer.messages import Message
from quarry.training.examples.example import text_key
from quarry.training.examples.near_duplicates import jaccard, shingles
from quarry.training.examples.rows import TrainingRow
from quarry.training.synthesis.tasks import ROW_TYPE, TaskKind, translated_to

SILENT = Message.of("synthesis.silent", "requests without an answer")
REFUSED = Message.of("synthesis.refused", "requests that the endpoint refused")
NO_LIST = Message.of("synthesis.no_list", "answers that are no JSON list of instructions")
NO_OBJECT = Message.of("synthesis.no_object", "answers that are no JSON object with query, positive and hard_negative")
EMPTY = Message.of("synthesis.empty", "rows with an empty text")
LENGTH = Message.of("synthesis.length", "instructions or rows with a text that is too short or too long")
COPIED = Message.of("synthesis.copied", "rows that copy their instruction, or the query in the passage")
LANGUAGE = Message.of("synthesis.language", "instructions or rows in another language than was asked for")
ALIKE = Message.of("synthesis.alike", "rows whose negative is the positive or the query")
TWICE = Message.of("synthesis.twice", "instructions or rows that came twice")
NO_INSTRUCTION = Message.of("synthesis.no_instruction", "rows of a kind for which no instruction was written")

_ALIKE = 0.8  # similarity from which a text is a copy
_INSTRUCTION_WORDS = (4, 80)
_SHORT, _LONG, _LABEL = (2, 128), (20, 1_500), (1, 30)  # fewest and most words
_SIZES = {
    "short-long": (_SHORT, _LONG),
    "long-short": (_LONG, _LABEL),
    "short-short": (_SHORT, _SHORT),
    "long-long": (_LONG, _LONG),
    "sts": (_SHORT, _SHORT),
    "bitext": (_SHORT, _SHORT),
}


def instructions_in(answer: str, *, language: str) -> list[str | Message]:
    """Return the instructions of an answer, each as text or with what is wrong with it."""
    found = _json_in(answer, "[", "]")
    if not isinstance(found, list) or not found or not all(isinstance(entry, str) for entry in found):
        return [NO_LIST]
    return [_instruction(" ".join(entry.split()), language=language) for entry in found]


def _instruction(text: str, *, language: str) -> str | Message:
    if not _fits(text, _INSTRUCTION_WORDS):
        return LENGTH
    return text if _is_chinese(text) == (language == "zh") else LANGUAGE


def row_in(answer: str, kind: TaskKind, instruction: str, *, language: str) -> TrainingRow | Message:
    """Return the row of an answer, or what is wrong with it."""
    found = _json_in(answer, "{", "}")
    texts = [found.get(name) for name in ("query", "positive", "hard_negative")] if isinstance(found, dict) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        return NO_OBJECT
    query, positive, negative = (str(text).strip() for text in texts)
    return _fault(kind, instruction, (query, positive, negative), language=language) or TrainingRow(
        query, (positive,), (negative,), prompt=instruction, kind=ROW_TYPE[kind]
    )


def _fault(kind: TaskKind, instruction: str, texts: tuple[str, str, str], *, language: str) -> Message | None:
    query, positive, negative = texts
    if not all(texts):
        return EMPTY
    of_query, of_passage = _SIZES[kind]
    if not (_fits(query, of_query) and _fits(positive, of_passage) and _fits(negative, of_passage)):
        return LENGTH
    other = translated_to(language) if kind == "bitext" else language
    if not _is_in(query, language) or not all(_is_in(text, other) for text in (positive, negative)):
        return LANGUAGE
    order = shingles(instruction)
    if any(jaccard(shingles(text), order) >= _ALIKE for text in texts) or (
        len(query) >= 12 and text_key(query).rstrip("?？。.") in text_key(positive)
    ):
        return COPIED
    if jaccard(shingles(positive), shingles(negative)) >= _ALIKE or text_key(negative) == text_key(query):
        return ALIKE
    return None


def _fits(text: str, words: tuple[int, int]) -> bool:
    return words[0] <= length_in_words(text) <= words[1]


def _is_in(text: str, language: str) -> bool:
    """Tell whether a text can be in a language; of Chinese and English it is known by the script."""
    return _is_chinese(text) == (language == "zh") if language in ("zh", "en") else may_be(text, language)


def _is_chinese(text: str) -> bool:
    return language_of(text) in ("zh", "mixed")


def _json_in(answer: str, opening: str, closing: str) -> Any:
    """Return the JSON value in an answer that may have other text, such as a code fence, around it."""
    first, last = answer.find(opening), answer.rfind(closing)
    try:
        return loads(answer[first : last + 1]) if 0 <= first < last else None
    except (ValueError, RecursionError):
        return None
