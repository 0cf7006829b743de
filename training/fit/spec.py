"""What a fine-tuning run is asked to do: every setting with its unit, range and source. Imports no torch.

Sources: FlagEmbedding's training arguments (`abc/finetune/embedder/AbsArguments.py`) for what its users know, and the papers
named at each field.

What training is set to when nobody says otherwise, by where it runs.

On a processor time and memory are short: the table of token embeddings stays (in a multilingual model most of the weights, read
and not computed with), two hard negatives beside those of the batch, texts cut at 128 tokens, no dropout (one pass over the
pairs overfits little, and attention without dropout is fused), and a higher rate because there are few steps. The temperature
is 0.01, with which E5 and C-Pack's models were trained: at 0.02 the loss keeps pushing apart what the model already separates.
For a reranker on a processor the table stays and dropout is off as well. `python -m tests.benchmarks.tuning` was run with these,
and `python -m tests.benchmarks.reranker_tuning`; on a GPU the defaults of `TrainSpec` and `RerankerSpec` hold.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from quarry.training.fit.settings import Settings
from quarry.training.fit.spec_parts import (
    LABELLED,
    BatchSpec,
    DistillationSpec,
    InContextSpec,
    LoraSpec,
    LossSpec,
    MatryoshkaSpec,
    is_retrieval,
)

__all__ = [
    "LABELLED",
    "RERANKER_PROMPTS",
    "BatchSpec",
    "DistillationSpec",
    "InContextSpec",
    "LoraSpec",
    "LossSpec",
    "MatryoshkaSpec",
    "PretrainSpec",
    "RerankerSpec",
    "TrainSpec",
    "is_retrieval",
    "train_preset",
]


class TrainSpec(Settings):
    """One fine-tuning run.

    Attributes:
        epochs: Passes over the rows, 1 to 100. FlagEmbedding: 1.
        batch_size: Rows per step and process, 2 to 65,536. BGE used 19,200; on a CPU 32 is a step of seconds.
        mini_batch: Texts per forward when gradients are cached (GradCache, arXiv 2101.06983), so that a large batch fits
            into the memory of a small one; 0 for off, at most the batch size.
        token_budget: Padded tokens per forward without gradient cache, 64 to 1,048,576; texts of like length share one.
        learning_rate: Peak, 1e-7 to 1e-2. FlagEmbedding: 1e-5 for encoders, 1e-4 for LoRA; 2e-5 suits small models.
        warmup: Share of the steps until the peak, 0 to 1; then it falls linearly to 0. BGE: 0.1.
        weight_decay: 0 to 1.
        dropout: Replaces every dropout of the model, 0 to 0.5; None keeps the model's own.
        loss: See `LossSpec`.
        matryoshka: See `MatryoshkaSpec`; None for the whole vector only.
        distillation: See `DistillationSpec`; None when teacher scores are not used.
        batches: See `BatchSpec`.
        lora: See `LoraSpec`; None trains all weights.
        in_context: See `InContextSpec`; None trains without examples.
        precision: `bfloat16` computes products in it while weights and loss stay float32; `auto` takes it where the device has
            it natively (GPUs since Ampere, processors with AVX512_BF16 or AMX), else `float32`.
        gradient_checkpointing: Whether activations are computed again on the way back, so that a forward takes less memory and a step
            about a third more time; also within the forwards of a gradient cache.
        freeze_embeddings: Whether the table of token embeddings stays as it is. In a small multilingual model it holds most
            of the weights and is read, not computed with.
        max_query_tokens: Longer queries are cut, instruction and special tokens counted; 8 to 8192.
        max_passage_tokens: The same for passages.
        query_format: Replaces the model's format of queries, with `{query}`, such as `{query}` alone to switch the instruction off;
            None keeps it. The trained model records it.
        seed: Order, draws and dropout follow from it; 0 to 2**31 - 1.
        eval_steps: Steps between evaluations on the dev set; 0 for ten in a run, fewer where they would take more than a quarter of
            the time.
        patience: Evaluations without a better dev score before it ends; 0 never ends early.
        checkpoint_steps: Steps between checkpoints, 0 for none but that of Ctrl-C.
    """

    epochs: Annotated[int, Field(ge=1, le=100)] = 1
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 32
    mini_batch: Annotated[int, Field(ge=0, le=65_536)] = 0
    token_budget: Annotated[int, Field(ge=64, le=1_048_576)] = 2048
    learning_rate: Annotated[float, Field(ge=1e-7, le=1e-2)] = 2e-5
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    dropout: Annotated[float, Field(ge=0, le=0.5)] | None = None
    loss: LossSpec = LossSpec()
    matryoshka: MatryoshkaSpec | None = None
    distillation: DistillationSpec | None = None
    batches: BatchSpec = BatchSpec()
    lora: LoraSpec | None = None
    in_context: InContextSpec | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    freeze_embeddings: bool = False
    max_query_tokens: Annotated[int, Field(ge=8, le=8192)] = 64
    max_passage_tokens: Annotated[int, Field(ge=8, le=8192)] = 256
    query_format: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    eval_steps: Annotated[int, Field(ge=0)] = 0
    patience: Annotated[int, Field(ge=0, le=1000)] = 3
    checkpoint_steps: Annotated[int, Field(ge=0)] = 100

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.query_format is not None and self.query_format.count("{query}") != 1:
            raise ValueError(f"query_format is {self.query_format!r}; expected text with {{query}} in it, once")
        if self.mini_batch > self.batch_size:
            raise ValueError(f"mini_batch is {self.mini_batch}; expected at most batch_size, {self.batch_size}")
        if not self.loss.in_batch_negatives and not self.loss.hard_negatives:
            raise ValueError(
                "there are neither in-batch nor hard negatives; expected one of them, or nothing is learnt"
            )
        return self

    def size_of(self, kind: str) -> int:
        """Return the rows per step and process of a kind of rows."""
        other = self.batches.other_size
        return self.batch_size if other is None or is_retrieval(kind) else other


# arXiv 2409.15700, table 18
RERANKER_PROMPTS = {
    "answer": "Predict whether passage B contains an answer to query A.",
    "same question": "Predict whether queries A and B are asking the same thing.",
    "same meaning": "Predict whether passages A and B have the same meaning.",
    "counterargument": "Predict whether argument A and counterargument B express contradictory opinions.",
}


class RerankerSpec(TrainSpec):
    """One run that trains a reranker: a cross-encoder, or a decoder.

    Of `TrainSpec`, temperature, margin and the two lengths are not read; what else would change nothing is refused.

    Attributes:
        objective: `listwise`: softmax over the candidates of a query, as FlagEmbedding trains rerankers; `binary`: each pair
            alone, cross entropy of its sigmoid.
        max_tokens: Limit for query and passage together, special tokens included; 16 to 8192. FlagEmbedding: 512.
        learning_rate: As above. FlagEmbedding's rerankers: 6e-5.
        loss: `hard_negatives` is how many negatives each query has, 1 at least; where a row has fewer they are filled with
            positives of other rows, unless `in_batch_negatives` is off. FlagEmbedding: 7.
        head: What scores. `classifier`: a logit of the whole model; `yes`: a language model's logit of `Yes`; `layerwise`: a
            decoder with a head per depth. `auto`: `yes` for a language model, else `classifier`.
        prompt: The question after each pair that a decoder reads; one of `RERANKER_PROMPTS`, or a text. A row's `prompt` replaces it.
        start_layer: First depth with a head, 1 to 512; for `layerwise`. FlagEmbedding: 8.
        self_distillation: Weight of learning the order of the last depth at every other one, 0 to 100; for `layerwise`.
        compress: Ratios of token compression, one of which is drawn for each step; for `layerwise`. FlagEmbedding: 1, 2, 4, 8.
        compress_layer: Before which layer tokens are compressed, 1 to 512.
    """

    objective: Literal["listwise", "binary"] = "listwise"
    max_tokens: Annotated[int, Field(ge=16, le=8192)] = 256
    learning_rate: Annotated[float, Field(ge=1e-7, le=1e-2)] = 6e-5
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 8
    head: Literal["auto", "classifier", "yes", "layerwise"] = "auto"
    prompt: str = "answer"
    start_layer: Annotated[int, Field(ge=1, le=512)] = 8
    self_distillation: Annotated[float, Field(ge=0, le=100)] = 1.0
    compress: tuple[Literal[1, 2, 4, 8], ...] = (1,)
    compress_layer: Annotated[int, Field(ge=1, le=512)] = 8

    @model_validator(mode="after")
    def _applies(self) -> Self:
        idle = [
            name
            for name in ("matryoshka", "in_context", "mini_batch", "gradient_checkpointing", "query_format")
            if getattr(self, name)
        ]
        if idle:
            raise ValueError(f"{', '.join(idle)} do not apply to rerankers; expected them not to be set")
        if not self.compress or not self.prompt.strip():
            raise ValueError("compress or prompt is empty; expected at least one ratio, and a question")
        if not self.loss.hard_negatives:
            raise ValueError(
                "loss.hard_negatives is 0; expected at least 1, the negatives that each query is compared with"
            )
        return self


class PretrainSpec(TrainSpec):
    """One run of RetroMAE over plain texts (arXiv 2205.12035).

    Of `TrainSpec`, loss, batches and the length of queries are not read; what else would change nothing is refused.

    Attributes:
        encoder_mask: Share of the tokens that the encoder does not see, above 0 and below 1. C-Pack: 0.3.
        decoder_mask: Share of the tokens that each position of the decoder does not see, above 0 and below 1. C-Pack: 0.5.
        learning_rate: As above. RetroMAE: 1e-4.
        max_passage_tokens: Longer texts are cut.
    """

    encoder_mask: Annotated[float, Field(gt=0, lt=1)] = 0.3
    decoder_mask: Annotated[float, Field(gt=0, lt=1)] = 0.5
    learning_rate: Annotated[float, Field(ge=1e-7, le=1e-2)] = 1e-4
    max_passage_tokens: Annotated[int, Field(ge=8, le=8192)] = 256

    @model_validator(mode="after")
    def _applies(self) -> Self:
        unread = (
            "matryoshka",
            "distillation",
            "lora",
            "in_context",
            "mini_batch",
            "freeze_embeddings",
            "gradient_checkpointing",
            "query_format",
        )
        idle = [name for name in unread if getattr(self, name)]
        if idle:
            raise ValueError(f"{', '.join(idle)} do not apply to pre-training; expected them not to be set")
        return self


def train_preset(*, reranker: bool, device: str, seed: int = 0) -> TrainSpec:
    """Return the settings for a device, `cpu` or `cuda`."""
    if reranker and device != "cpu":
        return RerankerSpec(seed=seed)
    if reranker:
        return RerankerSpec(seed=seed, freeze_embeddings=True, dropout=0.0)
    if device != "cpu":
        return TrainSpec(seed=seed)
    return TrainSpec(
        seed=seed,
        freeze_embeddings=True,
        dropout=0.0,
        learning_rate=3e-5,
        max_query_tokens=48,
        max_passage_tokens=128,
        loss=LossSpec(temperature=0.01, hard_negatives=2),
    )
