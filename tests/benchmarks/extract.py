"""How often the answer stands in the extracted sentences: `python -m tests.benchmarks.extract WORK [QUESTIONS] [words]`.

After tests.benchmarks.evidence, whose indexes it uses. 100 questions each, evenly spread, of xquad-en and xquad-zh on their
indexes of 240 paragraphs, and of chunkspans-en with BM25 over its five documents. Ten results are packed; three sentences are taken. Right means that one of them comes from the judged document and
holds an answer of the data set; in xquad of two languages (the corpus of `tests.benchmarks.mixed`) questions are asked of paragraphs in the
other language, with the second stage; for chunkspans-en, at least half of the characters of an answer span. The baseline is the first
three sentences of the best passage. With `words` no model is loaded: BM25 searches, and words alone choose. The last columns tell how many
sentences and characters words and meaning quote, and how long that takes.
"""

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from quarry.app.wiring import choose_model
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.retriever.answers.extract import Extracted, extract
from quarry.retriever.answers.packing import Packed, pack
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.sentences import sentence_spans
from tests.benchmarks.evidence import DATA, spread
from tests.benchmarks.mixed import opened
from tests.benchmarks.mixed_sets import SETS

QUESTIONS = 100
Right = Callable[[str, Sequence[Packed], Sequence[Extracted]], bool]


def first_three(passages: Sequence[Packed]) -> list[Extracted]:
    if not passages:
        return []
    text = passages[0].text
    return [Extracted(text[a:b], 1, a, b, 0.0) for a, b in sentence_spans(text)[:3]]


def by_answer(name: str) -> tuple[dict[str, str], Right]:
    """Questions of xquad and whether the judged document's sentences hold the answer."""
    dataset = load_dataset(DATA / name)
    relevant = {query: {doc for doc, grade in grades.items() if grade > 0} for query, grades in dataset.qrels.items()}
    return {query.query_id: query.text for query in dataset.queries}, holding(answers_of(name), relevant)


def across(direction: str) -> tuple[dict[str, str], Right]:
    """Questions on paragraphs in the other language, in a corpus of both; a direction is `question>document`."""
    asked = [one for one in SETS["xquad"]().asked if one.direction == direction]
    theirs = answers_of(f"xquad-{direction[-2:]}")
    answers = {one.query.query_id: theirs[one.query.query_id.partition("-")[2]] for one in asked}
    relevant = {one.query.query_id: one.relevant for one in asked}
    return {one.query.query_id: one.query.text for one in asked}, holding(answers, relevant)


def answers_of(name: str) -> dict[str, list[str]]:
    """Return the answers of a set's questions."""
    rows = [json.loads(line) for line in (DATA / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["_id"]: row["answers"] for row in rows}


def holding(answers: Mapping[str, Sequence[str]], relevant: Mapping[str, Collection[str]]) -> Right:
    """Return whether one sentence of a relevant document holds an answer, whatever its spaces."""

    def right(query_id: str, passages: Sequence[Packed], found: Sequence[Extracted]) -> bool:
        by_number = {passage.number: passage.doc_id for passage in passages}
        texts = ["".join(one.text.split()) for one in found if by_number[one.number] in relevant[query_id]]
        return any("".join(answer.split()) in text for answer in answers[query_id] for text in texts)

    return right


def by_span() -> tuple[dict[str, str], Right]:
    """Questions of chunkspans-en and whether the sentences cover half of a span."""
    rows = [
        json.loads(line) for line in (DATA / "chunkspans-en" / "spans.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    spans = {row["_id"]: (row["doc"], row["spans"]) for row in rows}

    def right(query_id: str, passages: Sequence[Packed], found: Sequence[Extracted]) -> bool:
        by_number = {passage.number: passage for passage in passages}
        doc, wanted = spans[query_id]
        read: set[int] = set()
        for one in found:
            passage = by_number[one.number]
            if Path(passage.doc_id).stem == doc:
                read.update(range(passage.start + one.start, passage.start + one.end))
        return any(2 * len(read & set(range(a, b))) >= b - a for a, b in wanted)

    return {row["_id"]: row["text"] for row in rows}, right


def measure(
    name: str, searcher: Searcher, questions: dict[str, str], right: Right, embedder, *, rerank: bool = False
) -> None:
    route = "hybrid" if embedder else "bm25"
    options = SearchOptions(route=route, rerank=rerank, dense_budget_ms=1e7, rerank_budget_ms=1e7)
    kept = spread(list(questions), int(sys.argv[2]) if len(sys.argv) > 2 else QUESTIONS)
    hits = {"in the passages": 0, "first three": 0, "words": 0, "words and meaning": 0}
    seconds = 0.0
    sentences = characters = 0
    for query_id in kept:
        text = questions[query_id]
        passages = pack(searcher.search(text, 10, options).results, searcher.index.chunks).passages
        whole = [Extracted(passage.text, passage.number, 0, len(passage.text), 0.0) for passage in passages]
        hits["in the passages"] += right(query_id, passages, whole)
        hits["first three"] += right(query_id, passages, first_three(passages))
        hits["words"] += right(query_id, passages, extract(text, passages, searcher.index.analyzer, None))
        started = perf_counter()
        found = extract(text, passages, searcher.index.analyzer, embedder)
        seconds += perf_counter() - started
        hits["words and meaning"] += right(query_id, passages, found)
        sentences += len(found)
        characters += sum(len(one.text) for one in found)
    cells = " | ".join(f"{count / len(kept):.3f}" for count in hits.values())
    quoted = f"{sentences / len(kept):.2f} | {characters / len(kept):.0f}"
    print(f"| {name} | {len(kept)} | {cells} | {quoted} | {1000 * seconds / len(kept):.0f} |", flush=True)


def main() -> None:
    work = Path(sys.argv[1])
    embedder = None if "words" in sys.argv[2:] else choose_model("auto", device="cpu").embedder
    print(
        "| set | questions | in the passages | first three sentences | by words | by words and meaning | sentences | characters | ms |"
    )
    print("|---" * 9 + "|")
    for name in ("xquad-zh", "xquad-en"):
        searcher = Searcher.open(work / name / "index", embedder=embedder)  # without one, none is loaded for BM25
        measure(name, searcher, *by_answer(name), embedder)
    if embedder is not None:
        both = opened(work, "xquad", SETS["xquad"](), embedder)
        for direction in ("zh>en", "en>zh"):
            measure(f"xquad {direction}", both, *across(direction), embedder, rerank=True)
    index = work / "chunkspans-en" / "index"
    if not index.is_dir():
        build_index(index, [DATA / "chunkspans-en" / "docs"], None, BuildOptions())
    measure("chunkspans-en", Searcher.open(index), *by_span(), embedder)


if __name__ == "__main__":
    main()
