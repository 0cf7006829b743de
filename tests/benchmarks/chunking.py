"""How well passages keep answers whole: `python -m tests.benchmarks.chunking` (needs ../shared/data, no model).

Each question of chunkspans-en is asked of BM25 over its documents cut in different ways. Read are the best passages up to
a budget of tokens, so that long and short passages compete on equal terms. Recall is the share of the answers' characters
that were read; precision the share of what was read that belongs to an answer (Chroma, "Evaluating chunking").
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from quarry.indexer.build.cutting.chunking import ChunkSpec, split
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.records import Chunk, Document, passage_text

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "chunkspans-en"
BUDGET = 1200  # tokens read per question


def fixed(document: Document, size: int) -> list[Chunk]:
    """Cut every `size` characters: the naive way to compare with."""
    text = document.text
    return [
        Chunk(
            f"{document.doc_id}#{start}-{start + size}",
            document.doc_id,
            text[start : start + size],
            start,
            min(len(text), start + size),
        )
        for start in range(0, len(text), size)
    ]


def measure(chunks: list[Chunk], questions: list[dict]) -> tuple[float, float]:
    words, tokens = analyzer("jieba"), ScriptTokens()
    by_id = {chunk.chunk_id: chunk for chunk in chunks}
    index = UnionIndex.build(
        list(by_id), [words.passage_terms(passage_text("", c.heading, c.text)) for c in by_id.values()]
    )
    recalls, precisions = [], []
    for question in questions:
        read: set[tuple[str, int]] = set()
        left = BUDGET
        for hit in index.search(words.query_tokens(question["text"]), 50):
            chunk = by_id[hit.chunk_id]
            left -= len(tokens.spans(chunk.text))
            if left < 0:
                break
            read.update((chunk.doc_id, place) for place in range(chunk.start, chunk.end))
        answer = {(question["doc"], place) for start, end in question["spans"] for place in range(start, end)}
        recalls.append(len(answer & read) / len(answer))
        precisions.append(len(answer & read) / max(1, len(read)))
    return sum(recalls) / len(recalls), sum(precisions) / len(precisions)


def questions() -> Iterator[dict]:
    for line in (FOLDER / "spans.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row


def main() -> None:
    documents = [
        Document(path.stem, path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "docs").glob("*.md"))
    ]
    asked = list(questions())
    print(f"{len(asked)} questions, {BUDGET} tokens read for each")
    print(f"{'cut':24} passages  recall  precision")
    for size in (800, 1600):
        chunks = [chunk for document in documents for chunk in fixed(document, size)]
        recall, precision = measure(chunks, asked)
        print(f"every {size} characters{'':<6} {len(chunks):8}  {recall:.3f}   {precision:.4f}")
    for max_tokens in (128, 192, 256, 320, 384, 512):
        for overlap in (0, 32, 64):
            spec = ChunkSpec(max_tokens, overlap)
            chunks = [chunk for document in documents for chunk in split(document, spec, ScriptTokens())]
            recall, precision = measure(chunks, asked)
            print(f"{max_tokens} tokens, overlap {overlap:<7} {len(chunks):8}  {recall:.3f}   {precision:.4f}")


if __name__ == "__main__":
    sys.exit(main())
