"""What is known of each model: pooling, formats, size. Data only.

Sources: FlagEmbedding's `inference/embedder/model_mapping.py` and README, and the model cards of the others. A model is
recognized by the repository id that its folder carries, never by the folder's own name.

The tables skip the formatter (`fmt: skip`), which would spread each model over ten lines.
"""

from dataclasses import dataclass
from typing import Literal

from quarry.indexer.embedder import Pooling

_EN = "Represent this sentence for searching relevant passages: {query}"
_ZH = "为这个句子生成表示以用于检索相关文章：{query}"
_ASK = "Given a question, retrieve passages that answer the question."
_KALM = "Given a query, retrieve documents that answer the query"
_WEB = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass(frozen=True, slots=True)
class EmbedderProfile:
    """One embedding model.

    Attributes:
        model: Repository id.
        architecture: `bert`, `xlm-roberta`, `mistral`, `gemma2`, `qwen2` or `qwen3`.
        pooling: How token states become one vector.
        dim: Length of its vectors.
        max_tokens: Longest input.
        million_parameters: Size; four bytes each in fp32.
        languages: `zh`, `en` or `multilingual`.
        query_format: With `{query}`; the instruction is filled in.
        document_format: With `{text}`.
        in_context: Whether examples may stand before a query (`quarry.indexer.models.few_shot`).
        matryoshka: Dimensions that it was trained to be cut to; empty when it was not.
        bidirectional: Whether a decoder's attention looks ahead, which its `config.json` does not tell.
        late_interaction: Whether late interaction over its token states was measured, and better (docs/second_stage.md).
    """

    model: str
    architecture: str
    pooling: Pooling
    dim: int
    max_tokens: int
    million_parameters: float
    languages: str
    query_format: str = "{query}"
    document_format: str = "{text}"
    in_context: bool = False
    matryoshka: tuple[int, ...] = ()
    bidirectional: bool = False
    late_interaction: bool = False


@dataclass(frozen=True, slots=True)
class RerankerProfile:
    """One reranker. `kind` says how it scores: a pair classifier, or the `Yes` logit of a decoder at its last position."""

    model: str
    kind: Literal["sequence", "decoder", "layerwise", "lightweight"]
    million_parameters: float
    languages: str
    max_tokens: int = 512
    prompt: str = ""
    cutoff_layers: int | None = None


def _bge(name: str, dim: int, size: float, language: str, query_format: str) -> EmbedderProfile:
    return EmbedderProfile(f"BAAI/{name}", "bert", "cls", dim, 512, size, language, query_format)


def _kalm(name: str, *, bidirectional: bool = False) -> EmbedderProfile:
    """Version 1 keeps Qwen2's causal mask, version 2 drops it (arXiv 2506.20923, section 1), by code in its folder.

    The instruction is that of the authors' own evaluation (HITsz-TMG/KaLM-Embedding, `evaluate/utils.py`; mteb for version 2).
    """
    stop = "" if bidirectional else "."
    return EmbedderProfile(
        name, "qwen2", "mean", 896, 512, 494, "multilingual", f"Instruct: {_KALM}{stop} \n Query: {{query}}",
        matryoshka=(896, 512, 256, 128, 64), bidirectional=bidirectional,
    )  # fmt: skip  # a table


EMBEDDERS: tuple[EmbedderProfile, ...] = (
    EmbedderProfile("BAAI/bge-m3", "xlm-roberta", "cls", 1024, 8192, 569, "multilingual"),
    _bge("bge-small-zh-v1.5", 512, 24, "zh", _ZH),
    _bge("bge-base-zh-v1.5", 768, 102, "zh", _ZH),
    _bge("bge-large-zh-v1.5", 1024, 326, "zh", _ZH),
    _bge("bge-small-en-v1.5", 384, 33.4, "en", _EN),
    _bge("bge-base-en-v1.5", 768, 109, "en", _EN),
    _bge("bge-large-en-v1.5", 1024, 335, "en", _EN),
    _bge("bge-small-zh", 512, 24, "zh", _ZH),
    _bge("bge-base-zh", 768, 102, "zh", _ZH),
    _bge("bge-large-zh", 1024, 326, "zh", _ZH),
    _bge("bge-large-zh-noinstruct", 1024, 326, "zh", "{query}"),
    _bge("bge-small-en", 384, 33.4, "en", _EN),
    _bge("bge-base-en", 768, 109, "en", _EN),
    _bge("bge-large-en", 1024, 335, "en", _EN),
    EmbedderProfile(
        "BAAI/bge-multilingual-gemma2", "gemma2", "last_token", 3584, 8192, 9242, "multilingual",
        f"<instruct>{_ASK}\n<query>{{query}}",
    ),
    EmbedderProfile(
        "BAAI/bge-en-icl", "mistral", "last_token", 4096, 8192, 7111, "en",
        f"<instruct>{_ASK}\n<query>{{query}}\n<response>",
        in_context=True,
    ),
    _kalm("HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v1"),
    _kalm("HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v1.5"),
    _kalm("HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v2", bidirectional=True),
    _kalm("KaLM-Embedding/KaLM-embedding-multilingual-mini-instruct-v2.5", bidirectional=True),
    EmbedderProfile(
        "Qwen/Qwen3-Embedding-0.6B", "qwen3", "last_token", 1024, 8192, 596, "multilingual",
        f"Instruct: {_WEB}\nQuery:{{query}}", matryoshka=(1024, 768, 512, 256, 128, 64, 32),
    ),
    EmbedderProfile(
        "Qwen/Qwen3-Embedding-4B", "qwen3", "last_token", 2560, 8192, 4022, "multilingual",
        f"Instruct: {_WEB}\nQuery:{{query}}", matryoshka=(2560, 1024, 512, 256, 128, 64, 32),
    ),
    EmbedderProfile(
        "Qwen/Qwen3-Embedding-8B", "qwen3", "last_token", 4096, 8192, 7568, "multilingual",
        f"Instruct: {_WEB}\nQuery:{{query}}", matryoshka=(4096, 2560, 1024, 512, 256, 128, 64, 32),
    ),
    # What `--model auto --download` fetches: the one small model here that has both languages and is published as safetensors
    # (bge-m3 is published as a pickle, which is never loaded, and needs 2.3 GB; the small BGE models have one language each).
    # It is also the model of the offline bundle (there in four bits), so a machine that gets a hub later meets nothing new.
    EmbedderProfile(
        "intfloat/multilingual-e5-small", "bert", "mean", 384, 512, 118, "multilingual", "query: {query}", "passage: {text}",
        late_interaction=True,
    ),
    EmbedderProfile(
        "intfloat/multilingual-e5-base", "xlm-roberta", "mean", 768, 512, 278, "multilingual", "query: {query}", "passage: {text}"
    ),
    EmbedderProfile(
        "intfloat/multilingual-e5-large", "xlm-roberta", "mean", 1024, 512, 560, "multilingual", "query: {query}", "passage: {text}"
    ),
    EmbedderProfile(
        "intfloat/multilingual-e5-large-instruct", "xlm-roberta", "mean", 1024, 512, 560, "multilingual",
        f"Instruct: {_WEB}\nQuery: {{query}}",
    ),
    EmbedderProfile("sentence-transformers/all-MiniLM-L6-v2", "bert", "mean", 384, 256, 22.7, "en"),
)  # fmt: skip  # a table

_YES_NO = (
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'."
)
RERANKERS: tuple[RerankerProfile, ...] = (
    RerankerProfile("BAAI/bge-reranker-base", "sequence", 278, "zh, en"),
    RerankerProfile("BAAI/bge-reranker-large", "sequence", 560, "zh, en"),
    RerankerProfile("BAAI/bge-reranker-v2-m3", "sequence", 568, "multilingual"),
    RerankerProfile("BAAI/bge-reranker-v2-gemma", "decoder", 2506, "multilingual", 1024, _YES_NO),
    RerankerProfile(
        "BAAI/bge-reranker-v2-minicpm-layerwise", "layerwise", 2725, "multilingual", 1024, _YES_NO, 28
    ),
    RerankerProfile(
        "BAAI/bge-reranker-v2.5-gemma2-lightweight", "lightweight", 9242, "multilingual", 1024,
        "Predict whether passage B contains an answer to query A.", 28,
    ),
)  # fmt: skip  # a table


def embedder_profile(model: str) -> EmbedderProfile | None:
    """Return the profile of a repository id (case does not matter), None when it is unknown."""
    return next((profile for profile in EMBEDDERS if profile.model.lower() == model.lower()), None)


def base_profile(model: str) -> EmbedderProfile | None:
    """Return the profile of a model, or of the one that it was tuned from (`BASE+tuned-...`); None when it is unknown."""
    return embedder_profile(model.partition("+tuned-")[0])


def reranker_profile(model: str) -> RerankerProfile | None:
    """Return the profile of a reranker's repository id, None when it is unknown."""
    return next((profile for profile in RERANKERS if profile.model.lower() == model.lower()), None)
