"""The languages of a question and of the documents that answer it, as a property to cut evaluations by: `zh->en`.

In a corpus of several languages the mean hides how well a question finds what is said in the other one.
"""

from collections.abc import Mapping
from dataclasses import replace

from quarry.indexer.language import language_of
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.data.datasets import Dataset

LANGUAGE_PAIR = "language-pair"


def with_language_pairs(dataset: Dataset, chunks: ChunkTable) -> Dataset:
    """Return the dataset with the metadata field `language-pair` for every query whose relevant documents are indexed.

    Languages are those of `language_of`, by script. A question whose relevant documents are in several has all of
    them: `zh->en+zh`. A field of this name that the dataset brings itself is kept.

    Example:
        >>> from pathlib import Path
        >>> from quarry.demo_corpus import documents_path, queries_path
        >>> from quarry.indexer.build import build_index
        >>> from quarry.indexer.build.plan import BuildOptions
        >>> from quarry.indexer.opened import Index
        >>> from quarry.retriever.data.datasets import load_dataset
        >>> _ = build_index(Path("index"), [documents_path()], None, BuildOptions())
        >>> data = with_language_pairs(load_dataset(queries_path().parent), Index.open(Path("index")).chunks)
        >>> sorted({fields["language-pair"] for fields in data.metadata.values()})
        ['en->en', 'en->zh', 'zh->en', 'zh->zh']
    """
    wanted = sorted({doc_id for grades in dataset.qrels.values() for doc_id in _relevant(grades)})
    known = chunks.titles(wanted)
    languages = {doc_id: str(language_of(chunks.document(doc_id).text)) for doc_id in wanted if doc_id in known}
    metadata = {query_id: dict(fields) for query_id, fields in dataset.metadata.items()}
    for query in dataset.queries:
        answers = {languages[doc_id] for doc_id in _relevant(dataset.qrels[query.query_id]) if doc_id in languages}
        if answers:
            pair = f"{language_of(query.text)}->{'+'.join(sorted(answers))}"
            metadata.setdefault(query.query_id, {}).setdefault(LANGUAGE_PAIR, pair)
    return replace(dataset, metadata=metadata)


def _relevant(grades: Mapping[str, int]) -> list[str]:
    return [doc_id for doc_id, grade in grades.items() if grade > 0]
