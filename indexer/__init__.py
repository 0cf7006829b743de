"""Text in, searchable folder out.

    files, folders, documents of a program -> documents          corpus, readers
    -> passages with terms, in a language                        build/chunking, lexical; language
    -> vectors, and states of single tokens                      models (by the protocol embedder), tokens
    -> one generation: texts, vectors, BM25 index, manifest      storage, stores, lexical; build puts them together
    -> opened for searching                                      opened
    vectors made on other machines, and taken by a build         encode, shards

The doors are `build_index`, `index_documents`, `delete_documents`, `remove_documents` and `compact_index` for writing,
`Index.open` for reading, and `resolve_model` and `load_embedder` for models. What flows are `records`, whose metadata is JSON
(metadata). Errors and notices are values (errors, messages). Heavy libraries load when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarry.indexer.build import (
        BuildReport,
        build_index,
        compact_index,
        delete_documents,
        index_documents,
        remove_documents,
    )
    from quarry.indexer.build.plan import BuildOptions
    from quarry.indexer.build.removal import Selection, find_documents, list_roots
    from quarry.indexer.embedder import Embedder, EmbedderSpec
    from quarry.indexer.errors import SearchError
    from quarry.indexer.models.encoder import EncoderOptions, load_embedder
    from quarry.indexer.models.source import resolve_model
    from quarry.indexer.opened import Index
    from quarry.indexer.records import Chunk, Document

_HOMES = {
    "BuildReport": "build",
    "BuildOptions": "build.plan",
    "build_index": "build",
    "compact_index": "build",
    "delete_documents": "build",
    "index_documents": "build",
    "remove_documents": "build",
    "Selection": "build.removal",
    "find_documents": "build.removal",
    "list_roots": "build.removal",
    "Embedder": "embedder",
    "EmbedderSpec": "embedder",
    "EncoderOptions": "models.encoder",
    "load_embedder": "models.encoder",
    "SearchError": "errors",
    "resolve_model": "models.source",
    "Index": "opened",
    "Chunk": "records",
    "Document": "records",
}
__all__ = [
    "BuildOptions",
    "BuildReport",
    "Chunk",
    "Document",
    "Embedder",
    "EmbedderSpec",
    "EncoderOptions",
    "Index",
    "SearchError",
    "Selection",
    "build_index",
    "compact_index",
    "delete_documents",
    "find_documents",
    "index_documents",
    "list_roots",
    "load_embedder",
    "remove_documents",
    "resolve_model",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at the first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'quarry.indexer' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"quarry.indexer.{_HOMES[name]}"), name)
