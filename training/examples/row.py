"""One row of training data, and how it is read out of the fields that other tools write.

    query      query, anchor, question, sentence1
    positives  pos, positive(s), passage, answer, document, pos_doc, sentence2; positive_passages, positive_ctxs
    negatives  neg, negative(s), negative_1 ..., hard_negatives, neg_doc; negative_passages, negative_ctxs, hard_negative_ctxs

These are the names of FlagEmbedding, Sentence Transformers, NeMo, Tevatron and DPR. The lists of the last two hold objects with
`text` and `title`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from quarry.indexer.messages import Message
from quarry.indexer.records import passage_text
from quarry.retriever.data.text_lines import quoted

QUERY_NAMES = ("query", "anchor", "question", "sentence1")
POSITIVE_NAMES = (
    "pos",
    "positive",
    "positives",
    "passage",
    "answer",
    "document",
    "pos_doc",
    "sentence2",
    "positive_passages",
    "positive_ctxs",
)
_NEGATIVE = re.compile(r"(hard_)?neg(ative)?s?(_?[0-9]+|_doc|_passages|_ctxs)?")
_SCORES = ("label", "score", "similarity")  # of a pair of sentences: they may be unlike each other


NO_INSTRUCTION = "{query}"  # a prompt that is a whole format: the query alone


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of FlagEmbedding's training data.

    Attributes:
        query: The question, without instruction.
        pos: Relevant passages, at least one.
        neg: Passages that are not; may be empty until negatives are mined.
        pos_scores: Scores of a teacher, as many as `pos`, or none; NaN (null in files) for a text that it did not score.
        neg_scores: The same for `neg`.
        prompt: The instruction to use for this row; empty for the model's own, `NO_INSTRUCTION` for none at all (`"prompt": ""`
            in files, as FlagEmbedding reads it).
        kind: FlagEmbedding's `type` (`normal`, `symmetric_sts`, ...); empty when not given.
    """

    query: str
    pos: tuple[str, ...]
    neg: tuple[str, ...] = ()
    pos_scores: tuple[float, ...] = ()
    neg_scores: tuple[float, ...] = ()
    prompt: str = ""
    kind: str = ""


def negative_names(names: Iterable[str]) -> list[str]:
    """Return the names that stand for negatives, in their order; `negative_1` and `negative_2` are two of them."""
    return [name for name in names if _NEGATIVE.fullmatch(name)]


def parse_row(content: Mapping[str, Any], *, plain: bool = False) -> TrainingRow | Message:
    """Return the row in a JSON object or in a line of a table, or what is wrong with it.

    Args:
        content: Fields by name; those that are not known are left alone, and null counts as absent.
        plain: Whether the names of other tools are read, a single text counts as a list of one, and negatives may be absent,
            as in files of plain pairs. Otherwise the fields are FlagEmbedding's.
    """
    fields = _renamed(content) if plain else content
    if isinstance(fields, Message):
        return fields
    query, prompt, kind = fields.get("query"), fields.get("prompt"), fields.get("type") or ""
    prompt = NO_INSTRUCTION if prompt == "" else prompt or ""
    if not isinstance(query, str) or not query.strip():
        return Message.of("examples.bad_query", "query is {value}", expected="text", value=_shown(query))
    if not isinstance(prompt, str) or not isinstance(kind, str):
        return Message.of("examples.bad_prompt", "prompt or type is not text", expected="text")
    texts: dict[str, tuple[str, ...]] = {}
    for name in ("pos", "neg"):
        value = fields.get(name)
        if name == "neg" and (plain or name in fields):
            value = value or []
        found = _texts(name, [value] if plain and isinstance(value, str) else value)
        if isinstance(found, Message):
            return found
        texts[name] = found
    if not texts["pos"]:
        return Message.of("examples.no_pos", "pos is empty", expected="at least one relevant passage")
    scores: dict[str, tuple[float, ...]] = {}
    for name in ("pos", "neg"):
        numbers = _scores(f"{name}_scores", fields.get(f"{name}_scores") or [], len(texts[name]))
        if isinstance(numbers, Message):
            return numbers
        scores[name] = numbers
    return TrainingRow(query, texts["pos"], texts["neg"], scores["pos"], scores["neg"], prompt, kind)


def _renamed(content: Mapping[str, Any]) -> Mapping[str, Any] | Message:
    """Return the fields under FlagEmbedding's names."""
    given = {name: value for name, value in content.items() if value is not None}
    if "sentence2" in given and any(name in given for name in _SCORES):
        return Message.of(
            "examples.scored_pair",
            "a pair of sentences with a score",
            expected="a query with a passage that is relevant",
            do="Leave the unlike pairs out, and drop the score",
        )
    query = next((name for name in QUERY_NAMES if name in given), "")
    positive = next((name for name in POSITIVE_NAMES if name in given), "")
    kept: dict[str, Any] = {
        name: given[name] for name in ("pos_scores", "neg_scores", "prompt", "type") if name in given
    }
    if query:
        kept["query"] = given[query]
    if positive:
        kept["pos"] = given[positive]
    negatives: list[Any] = []
    for name in negative_names(given):
        negatives += given[name] if isinstance(given[name], list) else [given[name]]
    return {**kept, "neg": negatives}


def _texts(name: str, value: object) -> tuple[str, ...] | Message:
    if isinstance(value, str):
        return Message.of(
            "examples.one_text",
            "{name} is one text",
            expected="a list of texts, or it would be read letter by letter",
            do="Put it in [ ]",
            name=name,
        )
    if not isinstance(value, list):
        return Message.of(
            "examples.no_texts", "{name} is {value}", expected="a list of texts", name=name, value=_shown(value)
        )
    texts = [_text(entry) for entry in value]
    bad = next((place for place, text in enumerate(texts) if not text.strip()), None)
    if bad is not None:
        held = quoted(value[bad])
        return Message.of("examples.no_text", "{name} holds {value}", expected="texts", name=name, value=held)
    return tuple(texts)


def _text(entry: object) -> str:
    """Return a text, or that of an object with `text` and `title`; empty for anything else."""
    if not isinstance(entry, Mapping):
        return entry if isinstance(entry, str) else ""
    text, title = entry.get("text"), entry.get("title") or ""
    return passage_text(title, "", text) if isinstance(text, str) and text.strip() and isinstance(title, str) else ""


def _scores(name: str, found: object, texts: int) -> tuple[float, ...] | Message:
    if not isinstance(found, list) or not all(_is_number(value) for value in found):
        return Message.of(
            "examples.bad_scores", "{name} is {value}", expected="a list of numbers", name=name, value=_shown(found)
        )
    if found and len(found) != texts:
        return Message.of(
            "examples.other_number_of_scores",
            "{name} has {count:number|numbers} for {texts:text|texts}",
            expected="one for each",
            name=name,
            count=len(found),
            texts=texts,
        )
    return tuple(nan if value is None else float(value) for value in found)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value))


def _shown(value: object) -> Message | str:
    return Message.of("examples.missing", "missing") if value is None else quoted(value)
