"""`/v1/models` and `/v1/embeddings` like OpenAI's, `/rerank` like Jina's, Cohere's and Voyage's: the index's models for other programs."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated
from uuid import uuid4

import numpy as np
from fastapi import APIRouter, Depends, Path

from quarry.app.server.models.served_models import check_model, model_called, served_models
from quarry.app.server.models.shared_reranker import SharedReranker
from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.models import (
    EmbedAnswer,
    EmbeddingOut,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    EmbedRequest,
    EmbedVectors,
    ModelOut,
    ModelsAnswer,
    RerankAnswer,
    RerankedOut,
    RerankRequest,
    RerankUsage,
    TextIn,
    Usage,
    VoyageRerankAnswer,
    VoyageRerankedOut,
)
from quarry.indexer.embedder import Embedder, EmbedderSpec, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.models.profiles import embedder_profile
from quarry.indexer.models.token_spans import ScriptTokens

router = APIRouter(tags=["models"])
Shared = Annotated[Services, Depends(services_of)]
_TOGETHER = 64  # texts that are embedded in one go, so that searches wait for no more than these


@router.get("/v1/models", operation_id="models")
def models(services: Shared) -> ModelsAnswer:
    """Return the models of this server: the index's embedder, the reranker, and the index itself, which answers in chats."""
    return ModelsAnswer(data=[ModelOut(id=model.id, kind=model.kind) for model in served_models(services)])


@router.get("/v1/models/{model:path}", operation_id="model")
def one_model(model: Annotated[str, Path(min_length=1, max_length=2_048)], services: Shared) -> ModelOut:
    """Return one of them."""
    found = model_called(model, services)
    return ModelOut(id=found.id, kind=found.kind)


@router.post("/v1/embeddings", operation_id="embeddings")
async def embeddings(asked: EmbeddingsRequest, services: Shared) -> EmbeddingsAnswer:
    """Encode up to 2,048 texts with the index's model, as queries or as passages; the time limit is for each 64 of them."""
    embedder = _embedder(services)
    spec = embedder.spec
    name = check_model(asked.model, "embedder", services)
    _check_dimensions(asked.dimensions, spec)
    encode = embedder.embed_queries if asked.as_queries else embedder.embed_documents

    def work(groups: Sequence[list[str]]) -> list[tuple[Vectors, int]]:
        vectors = encode([text for group in groups for text in group])
        ends = np.cumsum([len(group) for group in groups])[:-1]
        tokens = [sum(min(len(embedder.tokens.spans(text)), spec.max_tokens) for text in group) for group in groups]
        return list(zip(np.split(vectors, ends), tokens, strict=True))

    data: list[EmbeddingOut] = []
    total, texts, key = 0, asked.texts, ("embed", spec.fingerprint, asked.as_queries)
    for first in range(0, len(texts), _TOGETHER):
        vectors, tokens = await services.compute(key, work, texts[first : first + _TOGETHER])
        total += tokens
        data += [
            EmbeddingOut(index=place, embedding=_shown(row, base64=asked.as_base64))
            for place, row in enumerate(_cut(vectors, asked.dimensions), start=first)
        ]
    return EmbeddingsAnswer(data=data, model=name, usage=Usage(prompt_tokens=total, total_tokens=total))


@router.post("/v2/embed", operation_id="embed_v2")
async def embed(asked: EmbedRequest, services: Shared) -> EmbedAnswer:
    """Encode texts as `/v1/embeddings` does, for Cohere's clients."""
    found = await embeddings(asked.as_openai(), services)
    vectors = [row.embedding for row in found.data if isinstance(row.embedding, list)]  # numbers were asked for
    return EmbedAnswer(id=uuid4().hex, embeddings=EmbedVectors(float=vectors), texts=asked.texts)


def _check_dimensions(asked: int | None, spec: EmbedderSpec) -> None:
    """Refuse vectors that the model was not trained to give.

    Raises:
        Problem: 409.
    """
    if asked is None or asked == spec.dim:
        return
    profile = embedder_profile(spec.model)
    shorter = [dim for dim in (profile.matryoshka if profile else ()) if dim < spec.dim]
    if asked in shorter:
        return
    if shorter:
        message = Message.of(
            "serve.other_dimensions",
            "dimensions is {asked}",
            expected="one of {dims}, the lengths that this model was trained for",
            do="Ask for one of them, or omit the field",
            asked=asked,
            dims=[spec.dim, *shorter],
        )
    else:
        message = Message.of(
            "serve.fixed_dimensions",
            "dimensions is {asked}",
            expected="{dim}: this model was not trained for shorter vectors",
            do="Omit the field",
            asked=asked,
            dim=spec.dim,
        )
    raise Problem(409, message)


def _cut(vectors: Vectors, dim: int | None) -> Vectors:
    """Keep the first `dim` numbers of each vector, shape (n, dim), and scale it to unit length again (Matryoshka, arXiv 2205.13147)."""
    if dim is None or dim == vectors.shape[1]:
        return vectors
    kept = vectors[:, :dim]
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    cut: Vectors = np.divide(kept, lengths, out=np.zeros_like(kept), where=lengths > 0)
    return cut


def _shown(vector: Vectors, *, base64: bool) -> list[float] | str:
    numbers: list[float] = vector.tolist()
    return b64encode(vector.astype("<f4").tobytes()).decode() if base64 else numbers


@router.post("/rerank", operation_id="rerank")
@router.post("/v1/rerank", operation_id="rerank_v1")
@router.post("/v2/rerank", operation_id="rerank_v2")
async def rerank(asked: RerankRequest, services: Shared) -> VoyageRerankAnswer | RerankAnswer:
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
    name = check_model(asked.model, "reranker", services)
    texts = [document if isinstance(document, str) else document.text for document in asked.documents]

    logits = np.concatenate(await services.answered(lambda: reranker.submit(asked.query, texts))).astype(float).tolist()
    order = sorted(range(len(texts)), key=lambda place: (-logits[place], place))[: asked.top_n or asked.top_k]
    results = [
        RerankedOut(
            index=place,
            relevance_score=float(1 / (1 + np.exp(-np.clip(logits[place], -500, 500)))),
            document=TextIn(text=texts[place]) if asked.return_documents else None,
        )
        for place in order
    ]
    answer = RerankAnswer(id=uuid4().hex, model=name, results=results, usage=_usage(asked.query, texts))
    if not asked.as_voyage:
        return answer
    data = [
        VoyageRerankedOut(
            index=hit.index, relevance_score=hit.relevance_score, document=hit.document.text if hit.document else None
        )
        for hit in results
    ]
    return VoyageRerankAnswer(**dict(answer), data=data)


def _usage(query: str, passages: Sequence[str]) -> RerankUsage:
    tokens = ScriptTokens()
    of_passages = sum(len(tokens.spans(passage)) for passage in passages)
    return RerankUsage(total_tokens=len(tokens.spans(query)) * len(passages) + of_passages)


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
