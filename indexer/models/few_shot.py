r"""Examples in front of a query, for in-context models such as bge-en-icl (arXiv 2409.15700).

    <instruct>{instruct}\n<query>{query of an example}\n<response>{its answer}\n\n     once per example
    <instruct>{instruct}\n<query>{query}\n<response>

An example is the model's own format filled in, so a format with something behind the query is all that a model needs. The examples
become part of the query format, which an index and a tuned model record.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.format import with_instruction
from quarry.indexer.models.token_spans import CHARS_PER_TOKEN, encodable
from quarry.indexer.storage.files.durable import write_atomic

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PART_TOKENS = 256  # of an example's query, and of its response (arXiv 2409.15700, section 4.1)
ALL_TOKENS = 2048  # of a query with its examples
MOST_SHOTS = 5
_BETWEEN = "\n\n"
_LEAST = 8  # tokens that a part of an example keeps
_QUERY_SHARE = 4  # a quarter of the length is the query's


class Shot(NamedTuple):
    """One example: a query with what answers it.

    Attributes:
        query: Without instruction.
        response: A passage, or a label, that answers it.
        instruct: The example's own task sentence; empty for that of the query.
    """

    query: str
    response: str
    instruct: str = ""


@dataclass(frozen=True, slots=True)
class ShotLimits:
    """How long examples may be, in tokens.

    Attributes:
        part: Of each query and each response.
        together: Of a query with all of its examples.
    """

    part: int = PART_TOKENS
    together: int = ALL_TOKENS


def with_shots(query_format: str, shots: Iterable[Shot]) -> str:
    r"""Return a query format with examples in front; those that it had are replaced.

    Example:
        >>> with_shots("<query>{query}\n<response>", [Shot("2 + 2", "4")])
        '<query>2 + 2\n<response>4\n\n<query>{query}\n<response>'
    """
    plain = without_shots(query_format)
    return "".join(_filled(plain, shot) for shot in shots) + plain


def without_shots(query_format: str) -> str:
    """Return a query format of an in-context model without its examples: the block that holds the query."""
    head, slot, tail = query_format.partition("{query}")
    return head.rpartition(_BETWEEN)[2] + slot + tail


def _filled(query_format: str, shot: Shot) -> str:
    if shot.instruct:
        query_format = with_instruction(query_format, shot.instruct)
    head, _, tail = query_format.partition("{query}")
    # a slot in the text of an example would be taken for that of the query
    query, response = (text.replace("{query}", "{ query }") for text in (shot.query, shot.response))
    return head + query + tail + response + _BETWEEN


def cut_shots(
    query_format: str, shots: Sequence[Shot], tokenizer: "Tokenizer", limits: ShotLimits = ShotLimits()
) -> tuple[Shot, ...]:
    """Shorten the queries and responses of examples, all to the same length, until a quarter of the room is left for the query.

    Args:
        query_format: The model's, without examples.
        shots: The examples.
        tokenizer: The model's; it neither cuts nor pads.
        limits: In tokens.

    Raises:
        ModelError: If there are so many that fewer than 8 tokens of each would be left.
    """
    room = limits.together - limits.together // _QUERY_SHARE
    length = limits.part
    while True:
        found = tuple(
            Shot(cut_text(shot.query, length, tokenizer), cut_text(shot.response, length, tokenizer), shot.instruct)
            for shot in shots
        )
        taken = _tokens("".join(_filled(query_format, shot) for shot in found), tokenizer)
        if taken <= room:
            return found
        if length <= _LEAST:
            raise ModelError(
                "models.many_examples",
                "{count} examples take {taken} tokens, however short they are cut",
                expected="at most {room}, so that the query has room",
                do="Give fewer examples",
                count=len(shots),
                taken=taken,
                room=room,
            )
        length = max(_LEAST, min(length - 1, length * room // taken))


def cut_text(text: str, tokens: int, tokenizer: "Tokenizer") -> str:
    """Return the beginning of a text that has at most so many tokens."""
    offsets = _encoded(text[: tokens * CHARS_PER_TOKEN], tokenizer).offsets
    return text[: offsets[tokens - 1][1]] if len(offsets) > tokens else text


def _tokens(text: str, tokenizer: "Tokenizer") -> int:
    return len(_encoded(text, tokenizer).ids)


def _encoded(text: str, tokenizer: "Tokenizer") -> Any:
    return tokenizer.encode(encodable(text), add_special_tokens=False)


def checked_shots(shots: Iterable[Sequence[str]]) -> tuple[Shot, ...]:
    """Return examples given as (query, response) or (query, response, instruct).

    Raises:
        ModelError: If a query or a response is empty.
    """
    found = tuple(Shot(*shot) for shot in shots)
    for number, shot in enumerate(found, start=1):
        for part, text in (("query", shot.query), ("response", shot.response)):
            if not text.strip():
                raise ModelError(
                    "models.empty_example",
                    "example {number} has an empty {part}",
                    expected="text in both of its parts",
                    do="Fill it in, or leave the example out",
                    number=number,
                    part=part,
                )
    return found


def read_shots(path: Path) -> tuple[Shot, ...]:
    """Read examples from a file of JSON lines, or of one JSON list.

    Each is an object with `query`, `response` and perhaps `instruct`, as FlagEmbedding's `--examples_for_task` has them; or a training
    row with `query` and `pos`, whose first positive is the response and whose `prompt` is the instruction.

    Raises:
        SettingsError: If the file cannot be read, holds no example, or one of them lacks a part; it is named.
    """
    try:
        entries = _entries(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, JSONDecodeError) as err:
        raise SettingsError(
            "models.examples_unreadable",
            "{path} cannot be read ({reason})",
            expected="JSON lines, or one JSON list, of examples with query and response",
            do="Fix the file",
            path=path,
            reason=str(err),
        ) from err
    if not entries:
        raise SettingsError(
            "models.no_examples_in_file",
            "{path} holds no example",
            expected="lines such as {example}",
            do="Add one, or leave --examples out",
            path=path,
            example='{"query": "...", "response": "..."}',
        )
    return tuple(_shot(path, number, entry) for number, entry in enumerate(entries, start=1))


def write_shots(path: Path, shots: Iterable[Shot]) -> None:
    """Write examples as `read_shots` reads them."""
    lines = [{"query": shot.query, "response": shot.response} for shot in shots]
    write_atomic(path, "".join(dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())


def _entries(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        found: list[Any] = loads(text)
        return found
    return [loads(line) for line in text.splitlines() if line.strip()]


def _shot(path: Path, number: int, entry: Any) -> Shot:
    fields = entry if isinstance(entry, dict) else {}
    response = fields.get("response")
    if response is None and isinstance(fields.get("pos"), list) and fields["pos"]:
        response = fields["pos"][0]
    instruct = fields.get("instruct") or fields.get("prompt") or ""
    parts = {"query": fields.get("query"), "response": response}
    for name, value in parts.items():
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(
                "models.bad_example",
                "example {number} of {path} has no {part}",
                expected="text in query and in response",
                do="Fill it in, or leave the example out",
                number=number,
                path=path,
                part=name,
            )
    return Shot(str(parts["query"]), str(response), instruct if isinstance(instruct, str) else "")
