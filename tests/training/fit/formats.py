"""The same model with other formats, for tests that compare what a format changes."""

from copy import copy
from dataclasses import replace

from quarry.indexer.models.transformer import TransformerEmbedder


def with_formats(embedder: TransformerEmbedder, query_format: str, document_format: str) -> TransformerEmbedder:
    """Return an embedder that shares the model and formats texts in another way."""
    other = copy(embedder)
    other._spec = replace(embedder.spec, query_format=query_format, document_format=document_format)
    return other
