"""The demo corpus is whole: readable files, judged questions, both languages."""

import json

from quarry.demo_corpus import QUESTIONS, documents_path, qrels_path, queries_path
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.language import language_of


def test_every_document_is_read_and_every_question_is_judged():
    events = list(read_corpus({"documents": documents_path()}))
    assert all(isinstance(event, ReadFile) for event in events)
    documents = {document.doc_id: document for event in events for document in event.documents}
    assert len(documents) == 68
    for folder, expected in (("en", {"en"}), ("zh", {"zh", "mixed"})):
        texts = [document.text for doc_id, document in documents.items() if doc_id.startswith(f"documents/{folder}/")]
        assert len(texts) == 34
        assert sum(language_of(text) in expected for text in texts) >= 33
    assert {document.meta["format"] for document in documents.values()} >= {
        "markdown",
        "txt",
        "html",
        "docx",
        "pdf",
        "epub",
        "pptx",
        "xlsx",
        "csv",
        "jsonl",
        "json",
    }
    assert {"gb18030", "utf-16-le"} <= {document.meta.get("charset") for document in documents.values()}
    assert len({document.text for document in documents.values()}) == 68
    assert all(len(document.text) > 200 for document in documents.values())
    rows = [line.split("\t") for line in qrels_path().read_text(encoding="utf-8").splitlines()[1:]]
    queries = [json.loads(line) for line in queries_path().read_text(encoding="utf-8").splitlines()]
    assert {row[1] for row in rows} == set(documents)
    assert [row[0] for row in rows] == [query["_id"] for query in queries]
    assert len(QUESTIONS) == 4
    assert sum(path.stat().st_size for path in documents_path().rglob("*") if path.is_file()) < 1_500_000
