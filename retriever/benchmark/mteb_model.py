"""Our embedder as mteb's EncoderProtocol. It imports mteb only where it must, and computes no score of its own."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, Vectors


class MtebEncoder:
    """An embedder that mteb can ask.

    Queries and documents are encoded each in their own way, by mteb's prompt type. Tasks without one are symmetric: their
    texts are encoded as documents, or as queries by models that prefix documents (E5 asks for `query: ` there).
    """

    def __init__(self, embedder: Embedder, experiment: Mapping[str, Any] | None = None) -> None:
        """Wrap an embedder.

        Args:
            embedder: The loaded model.
            experiment: Settings that change vectors without changing model and revision, such as `{"dim": 128}`; they
                become part of the result's path.
        """
        self._embedder = embedder
        self._experiment = dict(experiment or {}) or None

    @property
    def mteb_model_meta(self) -> Any:
        """Name, revision and facts of the model, for mteb's results."""
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        spec = self._embedder.spec
        return ModelMeta.create_empty(
            {
                "name": spec.model if "/" in spec.model else f"local/{spec.model}",
                "revision": spec.revision or "no_revision",
                "max_tokens": spec.max_tokens,
                "embed_dim": spec.dim,
                "similarity_fn_name": ScoringFunction.COSINE,
                "use_instructions": spec.query_format != "{query}",
                "framework": ["PyTorch"],
                "experiment_kwargs": self._experiment,
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        batch_size: int = 32,
        show_progress_bar: bool = False,
    ) -> Vectors:
        """Return one unit row per text, shape (n, dim). Only texts and prompt type matter; batches are made anew."""
        del task_metadata, hf_split, hf_subset, batch_size, show_progress_bar
        texts = [text for batch in inputs for text in batch["text"]]
        side = getattr(prompt_type, "value", prompt_type)
        if side == "query" or (side is None and self._embedder.spec.document_format != "{text}"):
            return self._embedder.embed_queries(texts)
        return self._embedder.embed_documents(texts)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Return cosines of all rows of one with all of the other, shape (n, m)."""
        left, right = _rows(embeddings1), _rows(embeddings2)
        return np.asarray(left @ right.T, dtype=np.float32)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> NDArray[np.float32]:
        """Return cosines of rows with the rows beside them, shape (n,)."""
        left, right = _rows(embeddings1), _rows(embeddings2)
        return np.asarray(np.einsum("ij,ij->i", left, right), dtype=np.float32)


def _rows(embeddings: Any) -> NDArray[np.float32]:
    return np.atleast_2d(np.asarray(embeddings, dtype=np.float32))
