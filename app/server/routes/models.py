"""`/v1/embeddings` like OpenAI's, `/rerank` like Jina's and Cohere's: the index's models for other programs."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends

from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes import (
    EmbeddingOut,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    PassageIn,
    RerankAnswer,
    RerankedOut,
    RerankRequest,
    Usage,
)
from quarry.app.server.shared_reranker import SharedReranker
from quarry.indexer.embedder import Embedder, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message

router = APIRouter(tags=["models"])
Shared = Annotated[Services, Depends(services_of)]


@router.post("/v1/embeddings", operation_id="embeddings")
async def embeddings(asked: EmbeddingsRequest, services: Shared) -> EmbeddingsAnswer:
    """Encode texts with the index's model, as queries or as passages."""
    embedder = _embedder(services)
    spec = embedder.spec
    _check_model(asked.model, spec.model)
    if asked.dimensions not in (None, spec.dim):
        message = Message.of(
            "serve.other_dimensions",
            "dimensions is {asked}",
            expected="{dim}, as in the index",
            do="Omit it",
            asked=asked.dimensions or 0,
            dim=spec.dim,
        )
        raise Problem(409, message)
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    encode = embedder.embed_queries if asked.input_type == "query" else embedder.embed_documents

    def work(groups: Sequence[list[str]]) -> list[tuple[Vectors, int]]:
        vectors = encode([text for group in groups for text in group])
        ends = np.cumsum([len(group) for group in groups])[:-1]
        tokens = [sum(min(len(embedder.tokens.spans(text)), spec.max_tokens) for text in group) for group in groups]
        return list(zip(np.split(vectors, ends), tokens, strict=True))

    vectors, tokens = await services.compute(("embed", spec.fingerprint, asked.input_type), work, texts)
    base64 = asked.encoding_format == "base64"
    data = [
        EmbeddingOut(index=place, embedding=b64encode(row.astype("<f4").tobytes()).decode() if base64 else row.tolist())
        for place, row in enumerate(vectors)
    ]
    return EmbeddingsAnswer(data=data, model=spec.model, usage=Usage(prompt_tokens=tokens, total_tokens=tokens))


@router.post("/rerank", operation_id="rerank")
@router.post("/v1/rerank", operation_id="rerank_v1")
async def rerank(asked: RerankRequest, services: Shared) -> RerankAnswer:
    """Order passages by relevance to a query, with the server's reranker."""
    reranker, report = services.live.reranker.get()
    if not isinstance(reranker, SharedReranker):
        message = Message.of(
            "serve.no_reranker",
            "this server has no reranker ({reason})",
            expected="one that was started with a reranker",
            do="Start it with --rerank auto, an id or a folder",
            reason=report.reason or "",
        )
        raise Problem(409, message)
    _check_model(asked.model, reranker.name)
    texts = [document if isinstance(document, str) else document.text for document in asked.documents]

    logits = np.concatenate(await services.answered(lambda: reranker.submit(asked.query, texts))).astype(float).tolist()
    order = sorted(range(len(texts)), key=lambda place: (-logits[place], place))[: asked.top_n]
    results = [
        RerankedOut(
            index=place,
            relevance_score=float(1 / (1 + np.exp(-np.clip(logits[place], -500, 500)))),
            document=PassageIn(text=texts[place]) if asked.return_documents else None,
        )
        for place in order
    ]
    return RerankAnswer(model=reranker.name, results=results)


def _embedder(services: Services) -> Embedder:
    try:
        embedder = services.live.embedder()
    except ModelError as err:
        message = Message.of(
            "serve.model_not_loaded",
            "the embedding model could not be loaded ({reason})",
            expected="an index with vectors",
            do="Index again with --model auto --rebuild",
            reason=err.message,
        )
        raise Problem(409, message, code="no_model") from err
    if embedder is None:
        message = Message.of(
            "serve.no_model",
            "this index has no embedding model",
            expected="an index with vectors",
            do="Index again with --model auto --rebuild",
        )
        raise Problem(409, message)
    return embedder


def _check_model(asked: str, ours: str) -> None:
    if asked not in ("", ours):
        message = Message.of(
            "serve.no_such_model",
            "this server has no such model",
            expected="{ours}",
            do="Name this one, or omit the field",
            ours=ours,
        )
        raise Problem(404, message)
