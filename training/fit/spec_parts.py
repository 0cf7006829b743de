"""The parts of a training specification: losses, batches, adapters, examples. Imports no torch.

`quarry.training.fit.spec` puts them together.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from quarry.indexer.models.few_shot import ALL_TOKENS, MOST_SHOTS, PART_TOKENS
from quarry.training.fit.settings import Settings

KALM_DIMS = (896, 512, 256, 128, 64)
KALM_WEIGHTS = (1.0, 0.3, 0.2, 0.1, 0.1)


# what a kind of rows begins with that is no retrieval: FlagEmbedding's `symmetric_sts`, `symmetric_class`, and our own
LABELLED = ("classification", "clustering")
_OTHER_KINDS = ("symmetric_", "sts", "nli", *LABELLED)


def is_retrieval(kind: str) -> bool:
    """Tell whether rows of a kind (`TrainingRow.kind`, empty for none) are queries with passages that answer them."""
    return not kind.startswith(_OTHER_KINDS)


class LossSpec(Settings):
    """InfoNCE (van den Oord et al. 2018, arXiv 1807.03748) over positives, hard negatives and the rest of the batch.

    Attributes:
        temperature: Similarities are divided by it; cosine units, above 0 to 1. FlagEmbedding and BGE: 0.02.
        in_batch_negatives: Whether the other texts of the batch are negatives too (and those of other processes).
        hard_negatives: How many of a row's `neg` are drawn per epoch, 0 to 64; fewer when the row has fewer. NV-Retriever: 4.
        false_negative_margin: A text of the batch is no negative of a query when its similarity is above that of the
            positive plus this margin; cosine units, -1 to 1, None for no mask. Qwen3 Embedding (arXiv 2506.05176): 0.1.
            Own hard negatives stay: mining has its own filter.
    """

    temperature: Annotated[float, Field(gt=0, le=1)] = 0.02
    in_batch_negatives: bool = True
    hard_negatives: Annotated[int, Field(ge=0, le=64)] = 4
    false_negative_margin: Annotated[float, Field(ge=-1, le=1)] | None = 0.1


class MatryoshkaSpec(Settings):
    """The loss on leading parts of the vector as well (Kusupati et al. 2022, arXiv 2205.13147).

    Attributes:
        dims: Lengths of the parts, each from 1 to the model's dimension; the whole vector should be among them.
        weights: Share of each in the loss, as many as `dims`, above 0.
    """

    dims: tuple[Annotated[int, Field(ge=1)], ...]
    weights: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.dims or len(self.dims) != len(self.weights):
            raise ValueError(f"{len(self.dims)} dims and {len(self.weights)} weights; expected as many, at least one")
        if len(set(self.dims)) != len(self.dims):
            raise ValueError(f"dims {self.dims} hold one twice; expected each once")
        return self

    @classmethod
    def kalm(cls, dim: int) -> Self:
        """Return KaLM's dimensions and weights (arXiv 2501.01028) scaled to a model's dimension, such as 384."""
        dims = (dim, *(max(8, round(dim * part / KALM_DIMS[0] / 8) * 8) for part in KALM_DIMS[1:]))
        pairs = {part: weight for part, weight in reversed(list(zip(dims, KALM_WEIGHTS, strict=True))) if part <= dim}
        return cls(dims=tuple(reversed(pairs)), weights=tuple(reversed(pairs.values())))


class DistillationSpec(Settings):
    """Learning the order that a teacher gives a row's positive and negatives: KL divergence of two softmaxes.

    Attributes:
        teacher_temperature: Teacher scores are divided by it, in the teacher's units; 0.01 to 100. FlagEmbedding: 1.
        weight: Share of this part in the loss, above 0 to 1; InfoNCE has the rest. Rows without scores have InfoNCE alone.
    """

    teacher_temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5


class BatchSpec(Settings):
    """Which rows come together; FlagEmbedding's `type` of a row is its kind.

    Attributes:
        order: `random`; `homogeneous`: one kind per batch (FlagEmbedding `--same_dataset_within_batch`);
            `semi-homogeneous`: `ratio` of each batch is of one kind and the rest is random (KaLM, arXiv 2501.01028).
        ratio: Share of a semi-homogeneous batch, above 0 and below 1.
        other_size: Rows per step and process of kinds that are not retrieval (`is_retrieval`), 2 to 65,536; None for the batch
            size of all. Only with `homogeneous`. Making Text Embedders Few-Shot Learners (arXiv 2409.15700): 512 and 256.
    """

    order: Literal["random", "homogeneous", "semi-homogeneous"] = "random"
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.7
    other_size: Annotated[int, Field(ge=2, le=65_536)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.other_size is not None and self.order != "homogeneous":
            raise ValueError(f"batches.other_size is set and the order is {self.order}; expected homogeneous")
        return self


class LoraSpec(Settings):
    """Low-rank adapters, merged into the weights at the end (Hu et al. 2021, arXiv 2106.09685).

    Attributes:
        rank: 1 to 512. FlagEmbedding's examples: 32.
        alpha: Scale, 1 to 1024; usually twice the rank.
        dropout: 0 to 0.5.
        targets: Names of linear layers, such as `query` and `value`; empty for every linear layer, in encoders and decoders.
    """

    rank: Annotated[int, Field(ge=1, le=512)] = 32
    alpha: Annotated[int, Field(ge=1, le=1024)] = 64
    dropout: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    targets: tuple[str, ...] = ()


class InContextSpec(Settings):
    """Examples in front of the queries of a decoder (Making Text Embedders Few-Shot Learners, arXiv 2409.15700).

    Attributes:
        examples: How many a query has, 1 to 32. The paper: 5, drawn from the batch; 3 fixed ones.
        choice: `batch`: 0 to `examples` others of the same batch and kind, as many as a draw says, with their drawn positives;
            `fixed`: the same ones for all queries of a kind, always. Both are pairs of other queries with other answers.
        part_tokens: An example's query and its answer are cut there each, 8 to 8192. The paper: 256.
        max_tokens: A query with its examples is cut there, 32 to 32,768: the first of the examples go, the query and what its format
            has behind it stay. The paper: 2,048.
    """

    examples: Annotated[int, Field(ge=1, le=32)] = MOST_SHOTS
    choice: Literal["batch", "fixed"] = "batch"
    part_tokens: Annotated[int, Field(ge=8, le=8192)] = PART_TOKENS
    max_tokens: Annotated[int, Field(ge=32, le=32_768)] = ALL_TOKENS
