"""Cross-encoders: rerankers that read query and passage together and give one logit, such as bge-reranker-v2-m3."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import ModelError
from quarry.indexer.models.batching import TokenBudget
from quarry.indexer.models.folder import check_folder, stored_id
from quarry.indexer.models.forward.precision import Compute, Precision, WantedPrecision, compute_exactly, split_device
from quarry.indexer.models.loading import choose_device, load_tokenizer, load_weights
from quarry.indexer.models.profiles import reranker_profile
from quarry.indexer.models.token_spans import CHARS_PER_TOKEN, encodable
from quarry.retriever.base import Reranker
from quarry.retriever.rerankers.batched import PairScorer, pair_too_long
from quarry.retriever.rerankers.depth import Depth, always_whole
from quarry.retriever.rerankers.layerwise import OwnReranker

_BUDGET_CPU, _BUDGET_GPU = 4096, 65_536  # padded tokens per forward
_MAX_TOKENS = 512
_MAX_QUERY_SHARE = 0.75  # of the tokens: FlagEmbedding cuts the query there, so that the passage keeps a quarter


def load_reranker(
    folder: Path,
    *,
    model_id: str | None = None,
    device: str = "auto",
    cutoff_layers: int | None = None,
    compress: int = 1,
    trust_remote_code: bool = False,
    precision: WantedPrecision = "auto",
) -> Reranker:
    """Load a reranker from a local folder; its kind follows from its architecture and its profile.

    Args:
        folder: A Hugging Face folder with safetensors weights.
        model_id: Repository id; None reads it from the folder.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; a precision may follow, as in `cpu:float32`.
        cutoff_layers: For decoder rerankers: how many layers to run; None takes the profile's, or all.
        compress: For rerankers trained for it: how many tokens of a passage become one on the way, 1, 2, 4 or 8.
        trust_remote_code: Whether code in the folder may run.
        precision: `auto` takes bfloat16 for products on GPUs and on processors that compute in it natively, else float32. The
            head is always float32.

    Raises:
        ModelError: If the folder is incomplete or is not a reranker; a bi-encoder would get a random head.

    Example:
        >>> load_reranker(Path("documents"))
        Traceback (most recent call last):
            ...
        quarry.indexer.errors.ModelError: ...
    """
    config = check_folder(folder)
    device, wanted = split_device(device, precision)
    where = Compute.of(choose_device(device), wanted)
    name = model_id or stored_id(folder, config) or str(folder)
    architectures = [str(entry) for entry in config.get("architectures") or []]
    if any(entry.endswith("ForSequenceClassification") for entry in architectures):
        # transformers does not write the labels of a model with two
        labels = len(config.get("id2label") or ()) or int(config.get("num_labels", 2))
        if labels != 1:
            raise ModelError(
                "rerankers.classifier",
                "{model} classifies into {labels} labels",
                expected="one relevance logit",
                do="Choose a reranker",
                model=name,
                labels=labels,
            )
        if cutoff_layers is not None or compress != 1:
            raise always_whole(name)
        return SequenceReranker(folder, name, config, where)
    own = OwnReranker.of(folder)
    profile = reranker_profile(name) if own is None else own.profile(name)
    causal = any(entry.endswith("ForCausalLM") for entry in architectures)
    if profile is not None and (causal or own is not None):
        from quarry.retriever.rerankers.decoder import load_decoder_reranker

        return load_decoder_reranker(
            folder,
            config,
            profile,
            where=where,
            depth=Depth(cutoff_layers, compress),
            trust_remote_code=trust_remote_code,
        )
    raise ModelError(
        "rerankers.no_reranker",
        "{model} has the architecture {architecture}",
        expected="a sequence classifier with one label, or a known decoder reranker of `quarry models`",
        do="Choose a reranker: an embedding model cannot rerank, because its head would be random",
        model=name,
        architecture=architectures or "unknown",
    )


def pair_tokens(
    tokenizer: Any, max_tokens: int, query: str, passages: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Return tokens and segment ids of the query with each passage, at most `max_tokens` each, special ones counted.

    Training reads its pairs through this function too, so that a reranker sees what it was trained on.
    """
    clean = [encodable(text)[: max_tokens * CHARS_PER_TOKEN] for text in (query, *passages)]
    special = tokenizer.num_special_tokens_to_add(True)
    query_tokens = tokenizer.encode(clean[0], add_special_tokens=False)
    query_tokens.truncate(int(max_tokens * _MAX_QUERY_SHARE))
    room = max_tokens - special - len(query_tokens.ids)
    encoded = tokenizer.encode_batch(clean[1:], add_special_tokens=False)
    pairs = []
    for passage in encoded:
        passage.truncate(room)
        pair = tokenizer.post_process(query_tokens, passage, True)
        pairs.append((pair.ids, pair.type_ids))
    return pairs


class SequenceReranker:
    """A cross-encoder with one logit, computed in float32 at the head whatever the model's precision."""

    def __init__(self, folder: Path, name: str, config: dict[str, Any], where: Compute) -> None:
        from transformers import AutoModelForSequenceClassification

        tokenizer = load_tokenizer(folder, config)
        self._model = load_weights(
            AutoModelForSequenceClassification, folder, device=where.device, precision=where.precision, optional=""
        )
        head = getattr(self._model, "classifier", None) or getattr(self._model, "score", None)
        if head is not None:
            compute_exactly(head)
        self._name = name
        self._where = where
        positions = int(config.get("max_position_embeddings") or _MAX_TOKENS + 2)
        if config.get("model_type") in ("xlm-roberta", "roberta", "camembert"):
            positions -= 2
        profile = reranker_profile(name)
        wanted = profile.max_tokens if profile is not None else min(_MAX_TOKENS, tokenizer.model_max_length)
        self._max_tokens = min(positions, wanted)
        tokens = _BUDGET_GPU if where.device.startswith("cuda") else _BUDGET_CPU
        budget = TokenBudget(tokens, pair_too_long)
        self._pad = int(tokenizer.pad_token_id or 0)
        self._tokenizer = tokenizer.backend_tokenizer
        self._segments = "token_type_ids" in tokenizer.model_input_names
        self._scorer = PairScorer(name, self._pairs, lambda pair: len(pair[0]), self._forward, budget)
        self.forwards = 0

    @property
    def name(self) -> str:
        """The model."""
        return self._name

    @property
    def precision(self) -> Precision:
        """The precision of its products; the head is float32."""
        return self._where.precision

    def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Return one logit per passage, shape (len(passages),); a long pair is cut at the passage's end.

        Raises:
            ModelError: If memory runs out for one pair, or a logit is not finite.
        """
        return self.score_many([(query, passages)])[0]

    def score_many(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[NDArray[np.float32]]:
        """Score many queries at once. Pairs are batched by length across queries.

        Raises:
            ModelError: If memory runs out for one pair, or a logit is not finite.
        """
        return self._scorer.score_many(asked)

    def _pairs(self, query: str, passages: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        return pair_tokens(self._tokenizer, self._max_tokens, query, passages)

    def _forward(self, pairs: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float32]:
        """Score some pairs at once, shape (len(pairs),)."""
        import torch

        self.forwards += 1
        longest = max(len(ids) for ids, _ in pairs)
        padded = torch.full((len(pairs), longest), self._pad, dtype=torch.long)
        mask = torch.zeros((len(pairs), longest), dtype=torch.long)
        segments = torch.zeros((len(pairs), longest), dtype=torch.long)
        for line, (ids, types) in enumerate(pairs):
            padded[line, : len(ids)] = torch.tensor(ids)
            mask[line, : len(ids)] = 1
            segments[line, : len(ids)] = torch.tensor(types)
        inputs = {"input_ids": padded.to(self._where.device), "attention_mask": mask.to(self._where.device)}
        if self._segments:
            inputs["token_type_ids"] = segments.to(self._where.device)
        with torch.inference_mode(), self._where.products():
            logits: NDArray[np.float32] = self._model(**inputs).logits.view(-1).float().cpu().numpy()
        return logits
