"""Our embedder as mteb's EncoderProtocol. It imports mteb only where it must, and computes no score of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.models.few_shot import ALL_TOKENS, Shot, ShotLimits, cut_shots, without_shots
from quarry.retriever.benchmark.task_prompts import TaskPrompts, prompts_of, read_task_shots, shown_format

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class AskingEmbedder(Embedder, Protocol):
    """An embedder that can be asked in another format, with the same weights."""

    def asking(self, query_format: str) -> Embedder:
        """Return the same model with another format of queries."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked in each task.

    Attributes:
        prompts: Its instructions; None asks it as a search would.
        examples: A file of examples, or a folder with one file per task, for in-context models.
    """

    prompts: TaskPrompts | None = None
    examples: Path | None = None

    @classmethod
    def of(cls, embedder: Embedder) -> "Asking":
        """Return the instructions that come with the package for this model."""
        return cls(prompts_of(embedder.spec.model))


class MtebEncoder:
    """An embedder that mteb can ask.

    Queries and documents are encoded each in their own way, by mteb's prompt type. Tasks without one are symmetric: their
    texts are encoded with the task's instruction where the model's family has one; else as documents, or as queries by models
    that prefix documents (E5 asks for `query: ` there).
    """

    def __init__(
        self, embedder: Embedder, experiment: Mapping[str, Any] | None = None, asking: Asking | None = None
    ) -> None:
        """Wrap an embedder.

        Args:
            embedder: The loaded model.
            experiment: Settings that change vectors without changing model and revision, such as `{"dim": 128}`; they
                become part of the result's path.
            asking: How it is asked in each task; None takes what the package has for this model.
        """
        self._embedder = embedder
        self._experiment = dict(experiment or {}) or None
        self._asking = Asking.of(embedder) if asking is None else asking

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

    def query_format(self, task: str, kind: str) -> str:
        """Return how queries and symmetric texts of a task are asked, with {query}; empty when as a search would.

        Args:
            task: mteb's name.
            kind: mteb's kind.

        Raises:
            ModelError: If there are examples for a model that takes none.
            SettingsError: If the examples cannot be read.
        """
        spec = self._embedder.spec
        prompts, examples = self._asking.prompts, self._asking.examples
        found = prompts.query_format(spec, task, kind) if prompts else ""
        shots = read_task_shots(examples, task) if examples else ()
        if not shots:
            return found
        plain = without_shots(found or spec.query_format)
        if plain.endswith("{query}"):
            raise ModelError(
                "benchmark.no_examples",
                "{model} takes no examples",
                expected="an in-context model such as BAAI/bge-en-icl",
                do="Leave the examples out",
                model=spec.model,
            )
        return shown_format(plain, self._cut(plain, shots))

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
        """Return one unit row per text, shape (n, dim). Only texts, task and prompt type matter; batches are made anew."""
        del hf_split, hf_subset, batch_size, show_progress_bar
        texts = [text for batch in inputs for text in batch["text"]]
        side = getattr(prompt_type, "value", prompt_type)
        if side == "document":
            return self._embedder.embed_documents(texts)
        if task_metadata is not None and (asked := self.query_format(task_metadata.name, task_metadata.type)):
            return self._asked(asked, texts)
        if side == "query" or self._embedder.spec.document_format != "{text}":
            return self._embedder.embed_queries(texts)
        return self._embedder.embed_documents(texts)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> "Tensor":
        """Return cosines of all rows of one with all of the other, shape (n, m); a tensor, as mteb's summaries want it."""
        import torch

        left, right = _rows(embeddings1), _rows(embeddings2)
        return torch.from_numpy(np.asarray(left @ right.T, dtype=np.float32))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> "Tensor":
        """Return cosines of rows with the rows beside them, shape (n,)."""
        import torch

        left, right = _rows(embeddings1), _rows(embeddings2)
        return torch.from_numpy(np.asarray(np.einsum("ij,ij->i", left, right), dtype=np.float32))

    def _asked(self, query_format: str, texts: Sequence[str]) -> Vectors:
        if isinstance(self._embedder, AskingEmbedder):
            return self._embedder.asking(query_format).embed_queries(texts)
        if self._embedder.spec.document_format != "{text}":
            raise ValueError(
                f"{self._embedder.spec.model} cannot be asked in another format, and it prefixes documents"
            )
        head, _, tail = query_format.partition("{query}")
        return self._embedder.embed_documents([head + text + tail for text in texts])

    def _cut(self, query_format: str, shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
        """Shorten examples as `load_embedder` does; an embedder without a tokenizer of its own takes them whole."""
        tokenizer = getattr(self._embedder.tokens, "tokenizer", None)
        if tokenizer is None:
            return shots
        limits = ShotLimits(together=min(ALL_TOKENS, self._embedder.spec.max_tokens))
        return cut_shots(query_format, shots, tokenizer, limits)


def _rows(embeddings: Any) -> NDArray[np.float32]:
    return np.atleast_2d(np.asarray(embeddings, dtype=np.float32))
