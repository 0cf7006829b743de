"""Rows, bodies, training and the measure that every finding uses."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.models.few_shot import Shot, with_shots
from quarry.indexer.models.offline_bundle import bundle_folder
from quarry.retriever.evaluation.measures import ndcg
from quarry.training.examples.rows import TrainingRow, read_training_rows
from quarry.training.fit.embedder import finetune
from quarry.training.fit.models.trainable import Trainable, open_trainable
from quarry.training.fit.pretrain import pretrain
from quarry.training.fit.spec import PretrainSpec, TrainSpec
from tests.benchmarks.findings.bodies import write_layers, write_random, write_tokenizer
from tests.benchmarks.findings.data import HeldOut, held_out, rows_of, texts_of, write_pool
from tests.benchmarks.findings.finding import Scores

_QUERY, _PASSAGE, _BUDGET, _CUTOFF = 24, 48, 4096, 10
# of all findings; nothing here was chosen by the held-out queries
COMMON: Mapping[str, Any] = {
    "batch_size": 64,
    "dropout": 0.0,
    "precision": "float32",
    "token_budget": _BUDGET,
    "max_query_tokens": _QUERY,
    "max_passage_tokens": _PASSAGE,
    "checkpoint_steps": 0,
    "loss": {"temperature": 0.02, "hard_negatives": 0, "false_negative_margin": None},
}
LAYERS: Mapping[str, Any] = {"learning_rate": 2e-4, "freeze_embeddings": True}
RANDOM: Mapping[str, Any] = {"learning_rate": 2e-3}


@dataclass(frozen=True)
class Bench:
    """Where the data and the work are, and how much of it.

    Attributes:
        data: Folder of `train-pairs-en` and `train-pairs-zh`.
        work: Keeps the pool, the body of the offline model and the tokenizer of the others.
        scale: Times the rows of the small size, 1 for what two cores do in minutes; below 1, a trial, also of queries and passages.
        device: `cpu`, `cuda` or `cuda:N`.
        place: Name of the folder below `work` where models are trained; processes beside each other have one each.
    """

    data: Path
    work: Path
    scale: float = 1.0
    device: str = "cpu"
    place: str = "own"

    @property
    def own(self) -> Path:
        """Where the current arm has its models."""
        return self.work / self.place

    def count(self, number: int) -> int:
        """Return a number of rows at this scale, 64 at least."""
        return max(64, round(number * self.scale))

    @cached_property
    def held(self) -> HeldOut:
        """What is measured on."""
        share = min(1.0, self.scale)
        return held_out(self.data, max(64, round(400 * share)), max(64, round(600 * share)))

    @cached_property
    def _pool(self) -> list[TrainingRow]:
        kept = self.work / "pool.jsonl"
        if not kept.exists():
            write_pool(self.data, kept)
        return read_training_rows(kept)

    def rows(self, count: int, seed: int) -> list[TrainingRow]:
        """Draw rows without instruction."""
        return [replace(row, prompt="") for row in self.instructed(count, seed)]

    def instructed(self, count: int, seed: int) -> list[TrainingRow]:
        """Draw rows, each with the instruction of its source."""
        return rows_of(self._pool, self.count(count), seed)

    def layers(self) -> Path:
        """Return the body made of the offline model."""
        into = self.work / "layers"
        if not (into / "quarry.json").exists():
            write_layers(bundle_folder(), texts_of(self._pool), into)
        return into

    def prepare(self) -> None:
        """Make what all arms share, so that processes beside each other only read it."""
        self.layers()
        self._pieces()

    def _pieces(self) -> Path:
        """Return the tokenizer of the bodies that begin at random."""
        into = self.work / "pieces"
        if not (into / "tokenizer_config.json").exists():
            write_tokenizer(bundle_folder(), texts_of(self._pool), 3_000, into)
        return into

    def random(self, kind: str, seed: int) -> Path:
        """Return a body, `bert` or `qwen3`, that begins at random."""
        into = self.own / f"{kind}-{seed}"
        shutil.rmtree(into, ignore_errors=True)
        write_random(self._pieces(), into, kind=kind, seed=seed)
        return into

    def trained(self, body: Path, rows: Sequence[TrainingRow], settings: Mapping[str, Any], seed: int) -> Path:
        """Train a body and return its folder, which the next training replaces."""
        out = self.own / "run"
        shutil.rmtree(out, ignore_errors=True)
        return finetune(body, rows, spec_of(settings, seed), out, device=self.device).folder

    def pretrained(self, body: Path, texts: Sequence[str], settings: Mapping[str, Any], seed: int) -> Path:
        """Pre-train a body with RetroMAE and return its folder, which the next pre-training replaces."""
        out = self.own / "pretraining"
        shutil.rmtree(out, ignore_errors=True)
        own = {"precision": "float32", "checkpoint_steps": 0, "max_passage_tokens": _PASSAGE, "seed": seed}
        rows = [TrainingRow(text, (text,)) for text in texts]
        return pretrain(body, rows, PretrainSpec.of({**own, **settings}), out, device=self.device).folder

    def measured(self, folder: Path, *, prompts: bool = False, dims: Sequence[int] = ()) -> Scores:
        """Return nDCG@10 of every held-out query, by leading part of the vectors (`dims`; none for the whole)."""
        opened = open_trainable(folder, spec_of({}, 0), device=self.device)
        asked = [row.prompt if prompts else "" for row in self.held.queries]
        queries, passages = self._queries(opened, asked), self._passages(opened)
        return {
            str(dim or "all"): ndcg_of_own(queries[:, : dim or None], passages[:, : dim or None])
            for dim in dims or (0,)
        }

    def shown(self, folder: Path, shots: Mapping[str, Sequence[Shot]]) -> Scores:
        """Return nDCG@10 of every held-out query, asked as it is and with the examples of its source."""
        opened = open_trainable(folder, spec_of({}, 0), device=self.device)
        passages, zero = self._passages(opened), self._queries(opened, [""] * len(self.held.queries))
        few = np.empty_like(zero)
        for kind in {row.kind for row in self.held.queries}:
            places = [place for place, row in enumerate(self.held.queries) if row.kind == kind]
            shape = replace(opened.shape, query_format=with_shots(opened.shape.query_format, shots[kind]))
            texts = [self.held.queries[place].query for place in places]
            few[places] = replace(opened, shape=shape).embed_queries(
                texts, [""] * len(texts), max_tokens=_QUERY, token_budget=_BUDGET
            )
        return {"zero-shot": ndcg_of_own(zero, passages), "few-shot": ndcg_of_own(few, passages)}

    def _queries(self, opened: Trainable, prompts: Sequence[str]) -> Vectors:
        texts = [row.query for row in self.held.queries]
        room = _QUERY + (24 if any(prompts) else 0)  # for the instruction, as in training
        return opened.embed_queries(texts, prompts, max_tokens=room, token_budget=_BUDGET)

    def _passages(self, opened: Trainable) -> Vectors:
        texts = [opened.document_text(text) for text in self.held.passages]
        return opened.embed(texts, max_tokens=_PASSAGE, token_budget=_BUDGET)


def ndcg_of_own(queries: Vectors, passages: Vectors) -> NDArray[np.float64]:
    """Return nDCG@10 of each query, whose only answer is the passage of its own number; passages are brought to length 1."""
    passages = passages / np.maximum(np.linalg.norm(passages, axis=1, keepdims=True), 1e-9)
    best = np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :_CUTOFF]
    return np.array([ndcg([str(place) for place in row], {str(own): 1}, _CUTOFF) for own, row in enumerate(best)])


def spec_of(settings: Mapping[str, Any], seed: int) -> TrainSpec:
    """Return the common settings with others over them."""
    loss = {**COMMON["loss"], **settings.get("loss", {})}
    return TrainSpec.of({**COMMON, **settings, "loss": loss, "seed": seed})
