"""Text in, searchable folder out. The public names; heavy libraries load when they are used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.build import BuildReport, build_index, delete_documents, index_documents
    from indexer.build_plan import BuildSettings
    from indexer.embedder import Embedder, EmbedderSpec
    from indexer.encoder import EncoderOptions, load_embedder
    from indexer.errors import SearchError
    from indexer.model_source import resolve_model
    from indexer.opened import Index
    from indexer.records import Chunk, Document

_HOMES = {
    "BuildReport": "build", "BuildSettings": "build_plan", "build_index": "build", "delete_documents": "build",
    "index_documents": "build", "Embedder": "embedder", "EmbedderSpec": "embedder", "EncoderOptions": "encoder",
    "load_embedder": "encoder", "SearchError": "errors", "resolve_model": "model_source", "Index": "opened",
    "Chunk": "records", "Document": "records",
}  # fmt: skip
__all__ = [
    "BuildReport", "BuildSettings", "Chunk", "Document", "Embedder", "EmbedderSpec", "EncoderOptions", "Index", "SearchError",
    "build_index", "delete_documents", "index_documents", "load_embedder", "resolve_model",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name from its module at the first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'indexer' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"indexer.{_HOMES[name]}"), name)
