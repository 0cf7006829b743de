"""Requests and responses of the routes for models: embeddings and reranking, as the clients of other servers send them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from quarry.app.server.problems import Problem
from quarry.app.server.shapes import WHOLE, Text, Typed
from quarry.indexer.messages import Message

MAX_INPUTS = 2_048  # as OpenAI allows
MAX_PASSAGES = 1_000  # as Cohere advises


class TextIn(BaseModel):
    """A text as an object, as Cohere and Jina allow."""

    text: Text


def _no_token_ids(value: Any) -> Any:
    """Refuse token ids with a sentence of their own: they belong to another model's vocabulary.

    Raises:
        Problem: 422.
    """
    first = value[0] if isinstance(value, list) and value else None
    ids = first if isinstance(first, list) else value
    if isinstance(ids, list) and ids and all(isinstance(entry, int) for entry in ids):
        message = Message.of(
            "serve.token_ids",
            "the input is a list of token ids",
            expected="texts: the ids belong to another model's vocabulary",
            do="Send texts; with LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False",
        )
        raise Problem(422, message, code="invalid_request")
    return value


InputType = Literal["query", "document", "passage", "search_query", "search_document"]


class EmbeddingsRequest(Typed):
    """Like OpenAI's `/v1/embeddings`; null counts as absent, and its other fields are ignored."""

    input: Annotated[
        Text | TextIn | Annotated[list[Text | TextIn], Field(min_length=1, max_length=MAX_INPUTS)],
        BeforeValidator(_no_token_ids),
    ]
    model: str | None = Field(None, description="The index's model, as `/v1/models` names it, or absent.")
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = None
    input_type: InputType | None = Field(
        None, description="Extension of OpenAI's API: queries and passages are encoded differently. Default: passages."
    )

    @property
    def texts(self) -> list[str]:
        """The inputs, in order."""
        given = self.input if isinstance(self.input, list) else [self.input]
        return [each if isinstance(each, str) else each.text for each in given]

    @property
    def as_queries(self) -> bool:
        """Whether the inputs are encoded as queries."""
        return self.input_type in ("query", "search_query")


class EmbeddingOut(BaseModel):
    """One vector of unit length: numbers, or little-endian float32 in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """Vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingOut]
    model: str
    usage: Usage


class ModelOut(BaseModel):
    """A model of this server."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0  # OpenAI's clients ask for the field
    owned_by: str = "quarry"
    kind: Literal["embedder", "reranker"]


class ModelsAnswer(BaseModel):
    """The models that `/v1/embeddings` and `/v1/rerank` use."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


class RerankRequest(Typed):
    """Like `/rerank` of Jina, Cohere (v1 and v2) and Voyage; null counts as absent, and their other fields are ignored."""

    query: Text
    documents: list[Text | TextIn] = Field(min_length=1, max_length=MAX_PASSAGES)
    model: str | None = Field(None, description="The server's reranker, as `/v1/models` names it, or absent.")
    top_n: Annotated[int, Field(ge=1), WHOLE] | None = None
    top_k: Annotated[int, Field(ge=1), WHOLE] | None = Field(None, description="Voyage's name of top_n.")
    return_documents: bool | None = False


class RerankedOut(BaseModel):
    """One passage, by its position in the request; `relevance_score` is the sigmoid of the logit."""

    index: int
    relevance_score: float
    document: TextIn | None = None


class RerankAnswer(BaseModel):
    """Passages, best first."""

    id: str = Field(description="Of this answer; Cohere's clients ask for the field.")
    object: Literal["list"] = "list"
    model: str
    results: list[RerankedOut]
