"""Building and updating an index: documents in, a new live generation out, or the old one untouched.

    the live generation, if it can be continued                      live
    settings, live manifest -> what will be done                     plan
    files, folders, or documents of a program                        corpus, intake
    -> gone: documents and folders that are taken out                removal
    -> new and changed documents cut into passages, with terms       cutting (large ones in a worker)
    -> cut again by the language of a new index                      analyzing
    -> texts: live segments less what is removed, and a new one      storage/working_table
    -> small segments merged into the new one                        merging
    -> vectors and token states of the passages that lack them       shards, encoding, stores/kept_vectors, tokens
    -> vector store, vectors of titles and headings, terms           steps.fill_segment, stores, names, lexical
    -> the segment sealed                                            steps.finish_segment, storage/segments
    -> of a candidate: the live segments with other vectors          sharing
    -> both routes probed with sentences of the passages             measuring, cached_embedder
    -> manifest, then one switch                                     steps.describe_generation, storage/generations

Progress goes to an observer (progress). The doors are `build_index` (files and folders), `index_documents` and
`delete_documents` (a program's own documents), `remove_documents` (by id, filter or folder), `compact_index` (all in one
segment) and `build_candidate` (the same passages with another model). All of them run `_build` (running); read it from top to
bottom. Nothing is done when nothing has changed, and a crash at any point leaves the live generation as it was.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from quarry.indexer.build.cutting.cutter import Cutter
from quarry.indexer.build.intake import Intake, put_own_document, storable, sync_roots
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.progress import Observer, Unobserved
from quarry.indexer.build.removal import Selection, select, take_out
from quarry.indexer.build.report import BuildReport
from quarry.indexer.build.roots import name_roots
from quarry.indexer.build.running import guarded
from quarry.indexer.embedder import Embedder
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.texts.chunk_table import ChunkTable

__all__ = [
    "BuildReport",
    "build_candidate",
    "build_index",
    "compact_index",
    "delete_documents",
    "index_documents",
    "remove_documents",
]


def build_index(
    index: Path,
    paths: Sequence[Path],
    embedder: Embedder | None,
    settings: BuildOptions = BuildOptions(),
    observer: Observer | None = None,
) -> BuildReport:
    """Bring an index in step with files and folders; only what changed is read, cut and encoded.

    Args:
        index: The index folder; made when absent.
        paths: Files and folders. Documents of other paths that were indexed before stay.
        embedder: The model for vectors; None makes (or keeps) a lexical-only index.
        settings: How to build.
        observer: Receives progress events.

    Returns:
        The counts. On any error, Ctrl-C included, the live generation stays as it was.

    Raises:
        CorpusError: If a path is missing, or nothing readable was found.
        IndexMismatchError: If the live generation has another model and `settings.rebuild` is off.
        IndexBusyError: If another process is writing.
        SearchError: If the disk is full.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import build_index
        >>> report = build_index(Path("new-index"), [Path("documents")], None)  # None: BM25 only, no model
        >>> report.generation, report.documents, report.switched
        ('000001', 4, True)
        >>> build_index(Path("new-index"), [Path("documents")], None).switched  # nothing has changed
        False
    """

    def take_in(table: ChunkTable, cutter: Cutter, advance: Callable[[int], None]) -> Intake:
        roots = name_roots(paths, table.roots(), allow_empty=settings.allow_empty)
        return sync_roots(table, roots, cutter, replace(settings, read=cutter.limits), advance)

    return guarded(index, embedder, settings, observer or Unobserved(), take_in)


def index_documents(
    index: Path,
    documents: Iterable[Document],
    embedder: Embedder | None,
    settings: BuildOptions = BuildOptions(),
    observer: Observer | None = None,
) -> BuildReport:
    """Add documents from a program, or replace those with the same id.

    A document that came from a folder is replaced too. It then belongs to the program: indexing the folder again reports its
    file as a duplicate id and keeps the program's document, until `delete_documents` removes it.

    Args:
        index: The index folder; made when absent.
        documents: Later ones replace earlier ones with the same id.
        embedder: As for `build_index`.
        settings: How to build.
        observer: Receives progress events.

    Returns:
        The counts.

    Raises:
        ValueError: If an id is empty or cannot be stored.
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import Document, index_documents
        >>> report = index_documents(Path("my-index"), [Document("note-1", "Renew books twice online.")], None)
        >>> report.added, report.changed
        (1, 0)
        >>> index_documents(Path("my-index"), [Document("note-1", "Renew books three times.")], None).changed
        1
    """

    def take_in(table: ChunkTable, cutter: Cutter, advance: Callable[[int], None]) -> Intake:
        intake = Intake()
        for document in documents:
            clean = storable(document)
            put_own_document(table, clean, cutter, intake)
            advance(1)
        return intake

    return guarded(index, embedder, settings, observer or Unobserved(), take_in)


def delete_documents(index: Path, doc_ids: Iterable[str], embedder: Embedder | None) -> BuildReport:
    """Remove documents by id in a new generation.

    A document that came from a folder comes back when that folder is indexed again; to remove it for good, remove its file.

    Args:
        index: The index folder.
        doc_ids: Unknown ones are ignored.
        embedder: As for `build_index`.

    Returns:
        The counts.

    Raises:
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import Document, delete_documents, index_documents
        >>> report = index_documents(Path("my-index"), [Document("note-1", "Renew books twice online.")], None)
        >>> delete_documents(Path("my-index"), ["note-1", "unknown"], None).removed
        1
    """
    return remove_documents(index, Selection(doc_ids=tuple(doc_ids)), embedder)


def remove_documents(
    index: Path, selection: Selection, embedder: Embedder | None, observer: Observer | None = None
) -> BuildReport:
    """Take documents and folders out of an index, in a new generation; `find_documents` tells beforehand what will go.

    Documents of a folder that stays in the index come back when it is indexed again; to remove them for good, remove their files.

    Args:
        index: The index folder.
        selection: What to take out; unknown ids are ignored.
        embedder: As for `build_index`.
        observer: Receives progress events.

    Returns:
        The counts; `removed` is the number of documents.

    Raises:
        UnknownRoot: If the index was not made from one of the folders.
        UnknownFilter: If a filter names metadata that no document has.
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import Selection, build_index, remove_documents
        >>> _ = build_index(Path("new-index"), [Path("documents")], None)
        >>> remove_documents(Path("new-index"), Selection(roots=("documents",)), None).removed
        4
    """

    def take_in(table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        intake = Intake()
        take_out(table, select(table, selection), intake)
        return intake

    Generations(index).live()  # removing never makes an index
    return guarded(index, embedder, BuildOptions(allow_empty=True), observer or Unobserved(), take_in)


def build_candidate(
    index: Path,
    embedder: Embedder,
    settings: BuildOptions = BuildOptions(),
    observer: Observer | None = None,
) -> BuildReport:
    """Encode the live generation's passages with another model, into a generation beside the live one, which stays live.

    `Generations.switch` makes it live, `Generations.discard` removes it. Raises as `build_index` does.
    """

    def take_in(_table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        return Intake()

    return guarded(index, embedder, replace(settings, rebuild=True, go_live=False), observer or Unobserved(), take_in)


def compact_index(index: Path, embedder: Embedder | None, observer: Observer | None = None) -> BuildReport:
    """Merge all segments of an index into one, without what was removed from them. Nothing is encoded.

    Args:
        index: The index folder.
        embedder: As for `build_index`.
        observer: Receives progress events.

    Returns:
        The counts; `switched` is False when it was one segment already.

    Raises:
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import compact_index
        >>> compact_index(Path("my-index"), None).switched  # a small index is always one segment
        False
    """

    def take_in(_table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        return Intake()

    Generations(index).live()  # compacting never makes an index
    settings = BuildOptions(allow_empty=True, compact=True)
    return guarded(index, embedder, settings, observer or Unobserved(), take_in)
