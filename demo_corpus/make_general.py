"""Makes the general regression set out of XQuAD: `python -m quarry.demo_corpus.make_general FOLDER` (it holds xquad-en and xquad-zh).

Three paragraphs of each of the 48 articles, in both languages, and for each paragraph one question in English and another one
in Chinese. Both languages' paragraphs count as relevant, so the set notices a model that loses either language or the bridge
between them, and it is not near its ceiling.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from quarry.demo_corpus import general_path
from quarry.demo_corpus.make import rows, tidy

PARAGRAPHS = ("p0", "p2", "p4")
LANGUAGES = ("en", "zh")


def main(source: Path) -> None:
    """Write corpus, queries and judgements."""
    target = general_path()
    (target / "qrels").mkdir(parents=True, exist_ok=True)
    corpus = list(_corpus(source))
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in corpus)
    (target / "corpus.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    queries, qrels = [], ["query-id\tcorpus-id\tscore\n"]
    for place, language in enumerate(LANGUAGES):
        for paragraph, question in _questions(source, language, place):
            query_id = f"{paragraph}-{language}"
            queries.append(json.dumps({"_id": query_id, "text": question}, ensure_ascii=False) + "\n")
            qrels += [f"{query_id}\t{paragraph}-{other}\t1\n" for other in LANGUAGES]
    (target / "queries.jsonl").write_text("".join(queries), encoding="utf-8")
    (target / "qrels" / "test.tsv").write_text("".join(qrels), encoding="utf-8")


def _corpus(source: Path) -> Iterator[dict[str, str]]:
    for language in LANGUAGES:
        for row in rows(source / f"xquad-{language}" / "corpus.jsonl"):
            if row["_id"].endswith(PARAGRAPHS):
                yield {"_id": f"{row['_id']}-{language}", "title": "", "text": tidy(row["text"])}


def _questions(source: Path, language: str, place: int) -> Iterator[tuple[str, str]]:
    """Yield (paragraph, question): the question at `place` of those of the paragraph, or its last one."""
    folder = source / f"xquad-{language}"
    texts = {row["_id"]: row["text"] for row in rows(folder / "queries.jsonl")}
    of: dict[str, list[str]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, paragraph, _ = line.split("\t")
        of.setdefault(paragraph, []).append(tidy(texts[query_id]))
    for paragraph, questions in of.items():
        if paragraph.endswith(PARAGRAPHS):
            yield paragraph, questions[min(place, len(questions) - 1)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
