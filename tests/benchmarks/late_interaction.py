"""What the second stage brings: `python -m tests.benchmarks.late_interaction WORK [SET ...]` prints a row per set as Markdown.

Needs ../shared/data and the offline model. An index of each set's judged documents and others by hash of their ids (1,000 in all) is
made below WORK; at most 150 queries are asked, by hash of their ids. `hybrid` and `hybrid+rerank` are compared by a paired bootstrap.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from quarry.app.wiring import choose_model
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.records import Document
from quarry.retriever.data.datasets import Dataset, load_dataset
from quarry.retriever.evaluation.compare import compare
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.routes import evaluate_route
from quarry.retriever.searcher import Searcher
from tests.benchmarks.retrieval import DATA, corpus_lines, subsample

_DOCUMENTS, _QUERIES = 1000, 150


@dataclass(frozen=True)
class JudgedSet:
    """Where documents, questions and judgements come from; across languages the folders differ."""

    corpus: str
    queries: str
    split: str


SETS = {
    "writerhelp zh -> en": JudgedSet("writerhelp-zh2en", "writerhelp-zh2en", "test"),
    "xquad zh -> en": JudgedSet("xquad-en", "xquad-zh", "test"),
    "xquad en -> zh": JudgedSet("xquad-zh", "xquad-en", "test"),
    "cmrc2018sent-zh (train)": JudgedSet("cmrc2018sent-zh", "cmrc2018sent-zh", "train"),
    "scifact-en (train)": JudgedSet("scifact-en", "scifact-en", "train"),
    "productdocs-en": JudgedSet("productdocs-en", "productdocs-en", "test"),
    "winfaq-en": JudgedSet("winfaq-en", "winfaq-en", "test"),
    "sqlfaq-zh": JudgedSet("sqlfaq-zh", "sqlfaq-zh", "test"),
    "cisi-en": JudgedSet("cisi-en", "cisi-en", "test"),
    "med-en": JudgedSet("med-en", "med-en", "test"),
}


def questions(data: Dataset) -> Dataset:
    """Keep some of the queries, by hash of their ids."""
    kept = sorted(data.queries, key=lambda query: sha256(query.query_id.encode()).hexdigest())[:_QUERIES]
    return replace(data, queries=tuple(kept), qrels={query.query_id: data.qrels[query.query_id] for query in kept})


def row(work: Path, name: str, judged: JudgedSet) -> str:
    """Build the index of a set when it is not there, ask, and return the table's row."""
    chosen = choose_model("auto", device="cpu")
    data = questions(load_dataset(DATA / judged.queries, judged.split))
    index = work / name.replace(" ", "-").replace(">", "")
    if not index.is_dir():
        needed = {doc_id for grades in data.qrels.values() for doc_id in grades}
        rows = [json.loads(line) for line in subsample(corpus_lines(judged.corpus), needed, _DOCUMENTS)]
        documents = [Document(row["_id"], row["text"], title=row.get("title") or "") for row in rows]
        index_documents(index, documents, chosen.embedder, BuildOptions(rerank_vectors=True))
    searcher = Searcher.open(index, embedder=chosen.embedder)
    measures = parse_measures(["nDCG@10"])
    before, after = (evaluate_route(searcher, data, route, measures) for route in ("hybrid", "hybrid+rerank"))
    found = compare(before.evaluation, after.evaluation, "nDCG@10")
    shown = f"| {name} | {found.count} | {found.before:.4f} | {found.after:.4f} | {found.difference:+.4f} "
    return f"{shown}({found.low:+.4f} to {found.high:+.4f}) | {after.milliseconds.get('rerank', 0.0):.1f} |"


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    work, *names = arguments
    print(
        "| set | queries | hybrid | with late interaction | difference (95 % interval) | ms a query |\n|---|---|---|---|---|---|"
    )
    for name in names or SETS:
        print(row(Path(work), name, SETS[name]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
