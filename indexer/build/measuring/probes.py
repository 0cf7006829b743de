"""Passages cut in two: one sentence becomes a question, the rest stands for the passage.

The sample is the passages with the lowest digests, so that it is the same for the same texts, and that an update of the index
encodes few new ones: their vectors stay in the cache. `quarry.indexer.build.measuring.routes` asks the questions.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from quarry.indexer.language import language_of
from quarry.indexer.records import passage_text
from quarry.indexer.storage.texts.chunk_table import ChunkTable

SAMPLE = 128  # probes at most; nDCG@10 is then known to about 0.03
# of small indexes, every fourth passage is probed, at least _SMALL: encoding costs at most half as much again
_SHARE = 4
_SMALL = 32
_ROUNDS = 8  # times as many passages are looked at as probes are wanted
_LOOKED_AT = _ROUNDS * SAMPLE
_HAN = re.compile("[\u3400-\u9fff]")
_SENTENCE_END = re.compile(r"(?<=[。！？；!?])|(?<=[.;])\s+|\n+")
_CLAUSE_END = re.compile(r"[\s，、,：:]")


@dataclass(frozen=True, slots=True)
class Probe:
    """A passage cut in two: `question` is a sentence of it, `rest` the passage as it would be indexed without it."""

    chunk_id: str
    question: str
    rest: str


def lowest_probes(table: ChunkTable, passages: int, language: str = "") -> list[Probe]:
    """Make probes of the passages with the lowest digests, of one language where it is named; `passages` are in question."""
    order = table.lowest_digests(_LOOKED_AT, language) if language else table.lowest_digests(_LOOKED_AT)
    probes = sample_probes(table, order, passages)
    return [probe for probe in probes if language_of(probe.question) == language] if language else probes


def sample_probes(table: ChunkTable, chunk_ids: Sequence[str], passages: int) -> list[Probe]:
    """Make probes of the first passages that can be cut in two: at most 128, and of small indexes every fourth at most.

    Args:
        table: The texts.
        chunk_ids: Which passages, the first `_LOOKED_AT` of all in question.
        passages: How many are in question.
    """
    wanted = min(SAMPLE, max(_SMALL, passages // _SHARE))
    probes: list[Probe] = []
    # texts without sentences are not searched to the end
    for first in range(0, min(len(chunk_ids), _ROUNDS * wanted), wanted):
        for chunk in table.chunks(chunk_ids[first : first + wanted]):
            pieces = cut_out(chunk.text, chunk.chunk_id)
            if pieces is not None and len(probes) < wanted:
                title = table.titles([chunk.doc_id])[chunk.doc_id]
                probes.append(Probe(chunk.chunk_id, pieces[0], passage_text(title, chunk.heading, pieces[1])))
    return probes


def cut_out(text: str, seed: str) -> tuple[str, str] | None:
    """Take one sentence out of a text; of a text that is one sentence, the second half.

    Args:
        text: A passage.
        seed: Decides which sentence.

    Returns:
        The sentence and what is left; None when either would be too short to be found by.
    """
    least = 8 if _HAN.search(text) else 25
    sentences = [piece.strip() for piece in _SENTENCE_END.split(text) if piece and piece.strip()]
    long_enough = [row for row, sentence in enumerate(sentences) if len(sentence) >= least]
    if len(sentences) > 1 and long_enough:
        row = long_enough[int(sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:8], 16) % len(long_enough)]
        question, rest = sentences[row], " ".join(sentences[:row] + sentences[row + 1 :])
    else:
        middle = len(text) // 2
        boundary = _CLAUSE_END.search(text, middle)
        if boundary and boundary.end() < middle + len(text) // 4:
            middle = boundary.end()
        question, rest = text[middle:].strip(), text[:middle].strip()
    return (question, rest) if min(len(question), len(rest)) >= least else None
