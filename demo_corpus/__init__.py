"""The demo corpus: 68 bilingual documents of eleven file types, with questions and judgements. See README.md beside this file."""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent

QUESTIONS: tuple[str, ...] = (
    "Why do steam engines waste heat?",
    "叶绿体是怎么起源的？",
    "Who discovered oxygen first?",
    "亚马逊雨林有多大面积？",
)


def documents_path() -> Path:
    """Return the folder of documents."""
    return _FOLDER / "documents"


def queries_path() -> Path:
    """Return the questions, BEIR JSON lines."""
    return _FOLDER / "queries.jsonl"


def qrels_path() -> Path:
    """Return the judgements, BEIR TSV; document ids are those of an index made of `documents_path()`."""
    return _FOLDER / "qrels" / "test.tsv"
