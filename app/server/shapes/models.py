"""Requests and responses of the routes for models: embeddings and reranking, as the clients of other servers send them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from quarry.app.server.models.served_models import ModelKind
from quarry.app.server.models.token_ids import texts_of
from quarry.app.server.problems import Problem
from quarry.app.server.shapes.values import WHOLE, Text, Typed
from quarry.indexer.messages import Message

MAX_INPUTS = 2_048  # as OpenAI allows
MAX_PASSAGES = 1_000  # as Cohere advises


class TextIn(BaseModel):
    """A text as an object, as Cohere and Jina allow."""

    text: Text


def _texts(value: Any) -> Any:
    """Decode token ids, or refuse them with a sentence of their own: they belong to another model's vocabulary.

    Raises:
        Problem: 422.
    """
    several = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    ids = value if several else [value]
    if not all(isinstance(row, list) and row and all(type(each) is int for each in row) for row in ids):
        return value
    texts = texts_of(ids)
    if texts is None:
        message = Message.of(
            "serve.token_ids",
            "the input is a list of token ids",
            expected="texts: the ids belong to another model's vocabulary, which is not on this machine",
            do="Send texts; with LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False",
        )
        raise Problem(422, message, code="invalid_request")
    return texts


InputType = Literal["query", "document", "passage", "search_query", "search_document"]


class EmbeddingsRequest(Typed):
    """Like OpenAI's `/v1/embeddings`; null counts as absent, and its other fields are ignored."""

    input: Annotated[
        Text | TextIn | Annotated[list[Text | TextIn], Field(min_length=1, max_length=MAX_INPUTS)],
        BeforeValidator(_texts),
    ]
    model: str | None = Field(None, description="The index's model, as `/v1/models` names it, or absent.")
    encoding_format: Literal["float", "base64"] | None = "float"
    embedding_type: Literal["float", "base64"] | None = Field(None, description="Jina's name of encoding_format.")
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Shorter vectors, where the model was trained for them (Matryoshka)."
    )
    input_type: InputType | None = Field(
        None, description="Extension of OpenAI's API: queries and passages are encoded differently. Default: passages."
    )
    task: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Jina's name of input_type: `retrieval.query` encodes queries, any other task passages."
    )

    @property
    def texts(self) -> list[str]:
        """The inputs, in order."""
        given = self.input if isinstance(self.input, list) else [self.input]
        return [each if isinstance(each, str) else each.text for each in given]

    @property
    def as_queries(self) -> bool:
        """Whether the inputs are encoded as queries."""
        if self.input_type is not None:
            return self.input_type in ("query", "search_query")
        return self.task == "retrieval.query"

    @property
    def as_base64(self) -> bool:
        """Whether vectors are answered as base64 instead of numbers."""
        return "base64" in (self.encoding_format, self.embedding_type)


class EmbedRequest(Typed):
    """Like Cohere's `/v2/embed`, for texts; null counts as absent, and its other fields are ignored."""

    texts: list[Text] = Field(min_length=1, max_length=MAX_INPUTS)
    model: str | None = Field(None, description="The index's model, as `/v1/models` names it, or absent.")
    input_type: Literal["search_query", "search_document"] | None = Field(
        None, description="Queries and passages are encoded differently. Default: passages."
    )
    embedding_types: Annotated[list[Literal["float"]], Field(max_length=1)] | None = None
    output_dimension: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Shorter vectors, where the model was trained for them (Matryoshka)."
    )

    def as_openai(self) -> EmbeddingsRequest:
        """Return the same request as `/v1/embeddings` takes it."""
        return EmbeddingsRequest(
            input=list(self.texts),
            model=self.model,
            embedding_type=None,
            dimensions=self.output_dimension,
            input_type=self.input_type,
            task=None,
        )


class EmbedVectors(BaseModel):
    """Vectors of unit length in the order of the texts."""

    float: list[list[float]]


class EmbedAnswer(BaseModel):
    """As Cohere's clients expect it."""

    id: str
    embeddings: EmbedVectors
    texts: list[str]


class EmbeddingOut(BaseModel):
    """One vector of unit length: numbers, or little-endian float32 in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the inputs, and of what was written."""

    prompt_tokens: int
    completion_tokens: int = 0
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
    kind: ModelKind = Field(description="`answers` is the index itself, as a model of `/v1/chat/completions`.")


class ModelsAnswer(BaseModel):
    """The models that `/v1/embeddings`, `/v1/rerank` and `/v1/chat/completions` use."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


class RerankRequest(Typed):
    """Like `/rerank` of Jina, Cohere (v1 and v2) and Voyage; null counts as absent, and their other fields are ignored."""

    query: Text
    documents: list[Text | TextIn] = Field(min_length=1, max_length=MAX_PASSAGES)
    model: str | None = Field(None, description="The server's reranker, as `/v1/models` names it, or absent.")
    top_n: Annotated[int, Field(ge=1), WHOLE] | None = None
    top_k: Annotated[int, Field(ge=1), WHOLE] | None = Field(None, description="Voyage's name of top_n.")
    truncation: bool | None = Field(None, description="Voyage's: passages are always cut to what the model reads.")
    return_documents: bool | None = False

    @property
    def as_voyage(self) -> bool:
        """Whether Voyage's client asks: it always sends `truncation`; others send neither of the two."""
        return self.top_k is not None or self.truncation is not None


class RerankedOut(BaseModel):
    """One passage, by its position in the request; `relevance_score` is the sigmoid of the logit."""

    index: int
    relevance_score: float
    document: TextIn | None = None


class RerankUsage(BaseModel):
    """What was read: the query once for each passage, and the passages."""

    total_tokens: int = Field(description="An estimate, by script: the reranker's own tokens may be more or fewer.")


class RerankAnswer(BaseModel):
    """Passages, best first."""

    id: str = Field(description="Of this answer; Cohere's clients ask for the field.")
    object: Literal["list"] = "list"
    model: str
    results: list[RerankedOut]
    usage: RerankUsage


class VoyageRerankedOut(BaseModel):
    """One passage as Voyage's clients read it: the document is a plain text."""

    index: int
    relevance_score: float
    document: str | None = None


class VoyageRerankAnswer(RerankAnswer):
    """The same for Voyage's clients, which read `data`."""

    data: list[VoyageRerankedOut]
