"""What a build refuses before any work: another model, token states that no model gives, an address without a vector server."""

from pathlib import Path

from quarry.indexer.embedder import Embedder, EmbedderSpec, TokenEmbedder
from quarry.indexer.errors import IndexMismatchError, ModelError, SettingsError
from quarry.indexer.messages import Message
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.stores import SERVED_KINDS


def check_model(index: Path, live: Manifest | None, embedder: Embedder | None, *, rebuild: bool) -> None:
    """Refuse another model than the live generation's, unless everything is encoded again.

    Raises:
        IndexMismatchError: If it is another one.
    """
    if live is None or rebuild or live.embedder is None:
        return
    theirs = live.embedder.to_spec()
    if embedder is None or embedder.spec.fingerprint != theirs.fingerprint:
        raise IndexMismatchError(
            "build.another_model",
            "{index} was built with {theirs}, and this run has {mine}; vectors of two models cannot be mixed",
            do="Give that model with --model, or change the model with `quarry index PATH --into {index} --model MODEL --rebuild`",
            index=index,
            theirs=_named(theirs),
            mine=_named(embedder.spec) if embedder else Message.of("build.no_model", "no model (lexical only)"),
        )


def check_server(store: str, uri: str | None, live: Manifest | None) -> None:
    """Refuse an address that the store does not take, or that it lacks, before any work.

    Raises:
        SettingsError: If it is missing, belongs to another kind of store, or only the index folder names it.
    """
    if store in SERVED_KINDS:
        from quarry.indexer.stores.served.known import check_known
        from quarry.indexer.stores.served.server import check_uri

        check_uri(uri or uri_of(live), "MILVUS_TOKEN or QDRANT_API_KEY")
        if not uri:
            check_known(uri_of(live))
    elif uri:
        raise SettingsError(
            "build.uri_without_server",
            "--uri is the address of a vector server, and store {store} has none",
            expected="--store milvus or --store qdrant with it",
            do="Leave --uri out, or choose the store",
            store=store,
        )


def uri_of(live: Manifest | None) -> str:
    """Return the address of the vector server that an index was built with; empty without one."""
    return str(live.store.details.get("uri", "")) if live and live.store else ""


def need_token_states(embedder: Embedder | None) -> None:
    """Refuse to keep token states of a model that gives none.

    Raises:
        ModelError: If it gives none, or there is no model.
    """
    if not isinstance(embedder, TokenEmbedder):
        raise ModelError(
            "build.no_tokens",
            "{model} gives no token states",
            expected="an embedding model that does",
            do="Index without --rerank-vectors",
            model=embedder.spec.model if embedder else "BM25",
        )


def _named(spec: EmbedderSpec) -> str:
    return f"{spec.model} ({spec.revision[:12]})"
