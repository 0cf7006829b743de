"""An answer that somebody wrote to open questions: a document of the index, and a judgement for each of the questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.progress import Observer
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import FeedbackError
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.stores.parts import texts_at
from quarry.training.feedback.events import EDITOR, MAX_GRADE, FeedbackEvent
from quarry.training.feedback.judgements import query_id
from quarry.training.feedback.log import FeedbackLog, feedback_path

PREFIX = "answers"
"""Where the ids of written answers begin."""
MAX_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that is in the index.

    Attributes:
        doc_id: Its document; another answer to the same first question replaces it.
        generation: The one that has it.
        questions: Those that are judged as answered by it.
    """

    doc_id: str
    generation: str
    questions: tuple[str, ...]


def write_answer(
    index: Path,
    questions: Sequence[str],
    text: str,
    embedder: Embedder | None,
    observer: Observer | None = None,
) -> Written:
    """Add an answer as a document, whose title is the first question, and judge it as the answer of all of them.

    The judgements make it a training pair and a test question, as if users had chosen it.

    Args:
        index: The index folder.
        questions: What it answers, at least one.
        text: The answer; Markdown.
        embedder: The index's.
        observer: Receives progress.

    Raises:
        FeedbackError: If there is no question, or the answer is empty or longer than 100,000 characters.
        SearchError: As `index_documents`.
    """
    asked = tuple(dict.fromkeys(question.strip() for question in questions if question.strip()))
    if not asked:
        raise FeedbackError(
            "feedback.no_open_question", "no question was given", expected="the question that is answered"
        )
    if not text.strip() or len(text) > MAX_CHARS:
        raise FeedbackError(
            "feedback.answer_length",
            "the answer has {count:character|characters}",
            expected="1 to {most:,}",
            count=len(text.strip()),
            most=MAX_CHARS,
        )
    doc_id = f"{PREFIX}/{query_id(asked[0])}"
    today = datetime.now(UTC).date().isoformat()
    meta = {
        "source": f"{doc_id}.md",
        "format": "markdown",
        "modified": today,
        "written": today,
        "answers": list(asked),
    }
    document = Document(doc_id, text.strip(), asked[0], meta)
    report = index_documents(index, [document], embedder, BuildOptions.of_live(index), observer)
    passage = _first_passage(index, doc_id)
    with FeedbackLog.open(feedback_path(index)) as log:
        for question in asked:
            log.append(FeedbackEvent(question, "answer", EDITOR, report.generation, passage, doc_id, MAX_GRADE))
    return Written(doc_id, report.generation, asked)


def _first_passage(index: Path, doc_id: str) -> str:
    table = texts_at(Generations(index).live())
    try:
        return table.passages_of(doc_id)[0].chunk_id
    finally:
        table.close()
