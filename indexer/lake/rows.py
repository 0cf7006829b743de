"""A document as rows of a lake's tables: itself, its passages, and the titles and headings that they stand under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.language import language_of
from quarry.indexer.lexical.normalization import SECOND_FORM, words_of
from quarry.indexer.metadata import facts
from quarry.indexer.records import Chunk, Document, name_text, passage_text
from quarry.indexer.storage.texts.chunk_schema import document_languages
from quarry.indexer.storage.texts.document_rows import document_sha256
from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.indexer.stores.lake.where import fact


@dataclass(frozen=True, slots=True)
class DocumentRows:
    """A document that was cut.

    Attributes:
        document: Its row.
        passages: Theirs, without vectors.
        texts: What is embedded for each passage.
        names: Digest in hex -> text of the titles and headings.
    """

    document: dict[str, Any]
    passages: list[dict[str, Any]]
    texts: list[str]
    names: dict[str, str]


def rows_of(document: Document, file: str, chunks: Sequence[Chunk], terms: Sequence[Sequence[str]]) -> DocumentRows:
    """Return the rows of a document.

    Args:
        document: The document, as it can be stored.
        file: Which it came from.
        chunks: Its passages.
        terms: The terms of each.
    """
    meta = dict(document.meta)
    known = [fact(key, value) for key, value in facts(meta)]
    known += [fact("lang", name) for name in document_languages(document.text, str(meta.get("lang", "")))]
    names: dict[str, str] = {}
    passages, texts = [], []
    paged = "\f" in document.text
    for chunk, words in zip(chunks, terms, strict=True):
        text, name = passage_text(document.title, chunk.heading, chunk.text), name_text(document.title, chunk.heading)
        digest = passage_digest(name).hex() if name else ""
        if name:
            names[digest] = name
        texts.append(text)
        passages.append(
            {
                "chunk_id": chunk.chunk_id,
                "doc_id": chunk.doc_id,
                "start": chunk.start,
                "end": chunk.end,
                "page": document.text.count("\f", 0, chunk.start) + 1 if paged else None,
                "heading": chunk.heading,
                "title": document.title,
                "text": chunk.text,
                "digest": passage_digest(text).hex(),
                "terms": " ".join(word.removeprefix(SECOND_FORM) for word in words),
                "words": words_of(words),
                "lang": str(language_of(chunk.text)),
                "name": digest,
                "source": str(meta.get("source", "")),
                "facts": known,
            }
        )
    row = {
        "doc_id": document.doc_id,
        "file": file,
        "title": document.title,
        "text": document.text,
        "meta": dumps(meta, ensure_ascii=False),
        "sha256": document_sha256(document),
        "characters": len(document.text),
        "passages": len(passages),
        "facts": known,
    }
    return DocumentRows(row, passages, texts, names)


def passages_schema(dim: int, *, numbered: bool = False) -> Any:
    """Return the columns of passages; numbered ones also have their place in the table."""
    import pyarrow as pa

    text = ("chunk_id", "doc_id", "heading", "title", "text", "digest", "terms", "lang", "name", "source")
    numbers = (("start", pa.int32()), ("end", pa.int32()), ("page", pa.int32()), ("words", pa.int32()))
    return pa.schema(
        [
            *(pa.field(name, pa.utf8()) for name in text),
            *(pa.field(name, kind) for name, kind in numbers),
            pa.field("facts", pa.list_(pa.utf8())),
            pa.field("vector", pa.list_(pa.float32(), dim)),
            *([pa.field("number", pa.int64())] if numbered else []),
        ]
    )


def documents_schema() -> Any:
    """Return the columns of documents."""
    import pyarrow as pa

    text = ("doc_id", "file", "title", "text", "meta", "sha256")
    return pa.schema(
        [
            *(pa.field(name, pa.large_utf8() if name == "text" else pa.utf8()) for name in text),
            pa.field("characters", pa.int64()),
            pa.field("passages", pa.int32()),
            pa.field("facts", pa.list_(pa.utf8())),
        ]
    )


def names_schema(dim: int) -> Any:
    """Return the columns of titles and headings."""
    import pyarrow as pa

    return pa.schema([pa.field("id", pa.utf8()), pa.field("vector", pa.list_(pa.float32(), dim))])


def states_schema() -> Any:
    """Return the columns of token states; `terms` holds the weights of terms, for a model with heads of its own."""
    import pyarrow as pa

    return pa.schema([pa.field("id", pa.utf8()), pa.field("states", pa.binary()), pa.field("terms", pa.binary())])


def batch_of(rows: Sequence[Mapping[str, Any]], schema: Any, vectors: Vectors | None = None) -> Any:
    """Return rows, with their vectors of shape (len(rows), dim), as a record batch."""
    import pyarrow as pa

    columns = []
    for field in schema:
        if field.name == "vector" and vectors is not None:
            flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
            columns.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
        else:
            columns.append(pa.array([row[field.name] for row in rows], field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
