"""Which documents a user means by a name: an id, a file, a title, or a part of one of them."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from quarry.indexer.errors import QueryError
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.searcher import document_of

MOST = 1_000
"""Documents of one file, such as the rows of a table, that are looked at together."""
_NAMED = 5  # documents that a message names
_LONGEST = 2_048  # characters of a name


@dataclass(frozen=True, slots=True)
class Wanted:
    """The documents that a name means: one, or those of one file.

    Attributes:
        name: As it was given.
        doc_ids: Empty when the index has none.
        title: Of the first one, or its id; the name when there is none.
        alike: Ids of documents with a similar name, when there is none.
    """

    name: str
    doc_ids: tuple[str, ...]
    title: str
    alike: tuple[str, ...] = ()


class SeveralDocuments(QueryError):
    """A name means documents of several files.

    Attributes:
        doc_ids: Those documents.
    """

    doc_ids: tuple[str, ...] = ()


def wanted(table: ChunkTable, name: str) -> Wanted:
    """Find the documents that a name means: an id first, then a file, a title, and at last a part of an id or a title.

    Raises:
        QueryError: If the name is empty.
        SeveralDocuments: If it means documents of several files; the message names some.
    """
    name = name.strip()[:_LONGEST]
    if not name:
        raise QueryError(
            "search.no_document_named", "no document was named", expected="an id, a file or a title of a document"
        )
    doc_ids = table.doc_ids()
    titles = table.titles(doc_ids)
    found = [name] if name in titles else _of_file(table, name) or _titled(name, titles) or _partly(name, titles)
    if not found:
        labels = {title: doc_id for doc_id, title in titles.items() if title} | {doc_id: doc_id for doc_id in titles}
        near = get_close_matches(name, list(labels), n=_NAMED, cutoff=0.5)
        return Wanted(name, (), name, tuple(dict.fromkeys(labels[label] for label in near)))
    owners = {table.owner(doc_id) for doc_id in found[:MOST]}
    if len(found) > 1 and len(owners) > 1:
        several = SeveralDocuments(
            "search.several_documents",
            "{name} means {count} documents, such as {some}",
            expected="one of them",
            do="Give an id of `quarry documents INDEX`",
            name=name,
            count=len(found),
            some=found[:_NAMED],
        )
        several.doc_ids = tuple(found)
        raise several
    return Wanted(name, tuple(found[:MOST]), titles[found[0]] or found[0])


def _of_file(table: ChunkTable, name: str) -> list[str]:
    """Return the documents of a file on disk, or of one with this path below its folder."""
    of_path = list(table.documents_of(str(Path(name).absolute())))
    if of_path:
        return sorted(of_path)
    tail = name.replace("\\", "/").lstrip("./")
    sources = [source for source in table.sources() if tail and (source == tail or source.endswith(f"/{tail}"))]
    return sorted({document_of(chunk_id) for source in sources for chunk_id in table.of_source(source)})


def _titled(name: str, titles: dict[str, str]) -> list[str]:
    folded = name.casefold()
    return [doc_id for doc_id, title in titles.items() if (title or "").casefold() == folded]


def _partly(name: str, titles: dict[str, str]) -> list[str]:
    folded = name.casefold()
    return [
        doc_id for doc_id, title in titles.items() if folded in doc_id.casefold() or folded in (title or "").casefold()
    ]
