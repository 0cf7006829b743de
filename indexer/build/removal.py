"""What is to be taken out of an index: documents by id or by filter, and whole folders, which need not be there any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarry.indexer.build.intake import Intake
from quarry.indexer.corpus.places import path_in_index
from quarry.indexer.errors import UnknownRoot
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.parts import live_texts

_PROGRAM = ""  # the root of documents that a program handed over


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file that an index was made from.

    Attributes:
        prefix: With which its documents' ids begin.
        path: Where it was when it was last indexed.
        there: Whether it is still there.
        files: How many of its files are in the index.
        documents: How many documents they gave.
    """

    prefix: str
    path: str
    there: bool
    files: int
    documents: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What to take out; several kinds together take out all that any of them names.

    Attributes:
        doc_ids: Documents by id.
        filters: Documents by metadata, as `SearchOptions.filters`; None or empty selects none.
        roots: Folders, by the prefix or the path that `list_roots` gives.
    """

    doc_ids: tuple[str, ...] = ()
    filters: Mapping[str, Any] | None = None
    roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection finds in an index.

    Attributes:
        doc_ids: The documents, in order.
        roots: The folders, prefix -> path.
        not_found: Ids that no document has.
        returning: How many of the documents come back when their folder is indexed again, unless their files are removed.
    """

    doc_ids: tuple[str, ...]
    roots: Mapping[str, str]
    not_found: tuple[str, ...]
    returning: int


def list_roots(index: Path | ChunkTable) -> tuple[Root, ...]:
    """Return the folders and files that an index, or its opened texts, was made from.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import build_index, list_roots
        >>> _ = build_index(Path("new-index"), [Path("documents")], None)
        >>> [(root.prefix, root.there, root.documents) for root in list_roots(Path("new-index"))]
        [('documents', True, 4)]
    """
    with live_texts(index) as table:
        counts = table.root_counts()
        return tuple(
            Root(prefix, path, Path(path).exists(), *counts.get(prefix, (0, 0)))
            for prefix, path in table.roots().items()
        )


def find_documents(index: Path, selection: Selection) -> Selected:
    """Return what `remove_documents` would take out. Changes nothing.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged.
        UnknownRoot: If the index was not made from one of the folders.
        UnknownFilter: If a filter names metadata that no document has.
    """
    with live_texts(index) as table:
        return select(table, selection)


def select(table: ChunkTable, selection: Selection) -> Selected:
    """Return what a selection finds in a table. Raises as `find_documents` does."""
    roots = dict(_root_named(table, name) for name in selection.roots)
    found: dict[str, None] = {}
    for prefix in roots:
        for file in table.files_of(prefix):
            found.update(dict.fromkeys(table.documents_of(file)))
    if selection.filters:
        found.update(dict.fromkeys(table.documents_matching(selection.filters)))
    not_found = tuple(doc_id for doc_id in selection.doc_ids if table.owner(doc_id) is None)
    found.update(dict.fromkeys(doc_id for doc_id in selection.doc_ids if doc_id not in not_found))
    returning = sum(_root_of(table, doc_id) not in (_PROGRAM, *roots) for doc_id in found)
    return Selected(tuple(sorted(found)), roots, not_found, returning)


def take_out(table: ChunkTable, selected: Selected, intake: Intake) -> None:
    """Remove what was selected, with the folders' entries."""
    for doc_id in selected.doc_ids:
        owner = table.owner(doc_id)
        if owner is None:
            continue
        table.remove_documents([doc_id])
        if _root_of_file(table, owner) == _PROGRAM:
            table.remove_file(owner)
        else:
            table.forget_version(owner)  # it is read again when its folder is indexed again
        intake.removed += 1
    for prefix in selected.roots:
        for file in table.files_of(prefix):
            table.remove_file(file)
        table.remove_root(prefix)
        intake.roots_removed += 1


def _root_named(table: ChunkTable, name: str) -> tuple[str, str]:
    known = table.roots()
    if name in known:
        return name, known[name]
    path = str(path_in_index(Path(name), known.values()))
    prefix = next((prefix for prefix, of_root in known.items() if of_root == path), None)
    if prefix is None:
        raise UnknownRoot(
            "build.unknown_root",
            "the index was not made from {name}",
            expected="one of {known}",
            name=name,
            known=[f"{prefix} ({of_root})" for prefix, of_root in known.items()],
        )
    return prefix, path


def _root_of(table: ChunkTable, doc_id: str) -> str:
    return _root_of_file(table, table.owner(doc_id) or "")


def _root_of_file(table: ChunkTable, path: str) -> str:
    file = table.file(path)
    return file.root if file else _PROGRAM
