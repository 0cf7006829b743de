"""The demo corpus: 68 bilingual documents of eleven file types, with questions and judgements. See README.md beside this file."""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent

QUESTIONS: tuple[str, ...] = (
    "How long ago did cyanobacteria enter a cell?",
    "什么是最有效的抗炎药?",
    "Who was the world's second largest oil producer?",
    "What is an additional meaning intended when the word prime is used?",  # answered by a Chinese document
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


def general_path() -> Path:
    """Return the general regression set, BEIR layout: 288 paragraphs and 288 questions, half Chinese, half English."""
    return _FOLDER / "general"
