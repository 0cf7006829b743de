"""The tuning that the simulated users' benchmark runs each round: small, so that a round is minutes of one core."""

import json
from pathlib import Path

from quarry.demo_corpus import general_path
from quarry.retriever.data.datasets import documents, load_dataset
from quarry.retriever.ranking import Route
from quarry.training.examples.rows import write_beir
from quarry.training.examples.split import SplitSpec
from quarry.training.fit.spec import TrainSpec, train_preset
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning.gate import GateSpec
from quarry.training.tuning.plan import TuningPlan
from tests.benchmarks.users_world import TINY, make_world

GENERAL_EVERY = 3  # of the general set's questions, with the passages that answer them
SPLIT = SplitSpec(dev=0.1, test=0.35)
SPEC = train_preset(reranker=False, device="cpu").model_copy(
    update={"epochs": 2, "batch_size": 16, "max_passage_tokens": 96, "eval_steps": 10_000, "patience": 0}
)
TINY_SPEC = TrainSpec(epochs=4, batch_size=16, learning_rate=5e-3, eval_steps=10_000, checkpoint_steps=0, patience=0)


def plan_of(kind: str, route: Route, general: Path) -> TuningPlan:
    """Return the plan for a kind of world.

    Args:
        kind: As for `make_world`.
        route: How the held-out questions are answered.
        general: Folder to write the general set to. That of `tiny` has texts of the same kind, and no bound: a model that
            starts from nothing has nothing to forget.
    """
    if kind == TINY:
        return TuningPlan(
            _tiny_general(general),
            split=SPLIT,
            negatives=NegativeSpec(number=2, ranks=(0, 40)),
            spec=TINY_SPEC,
            merge=(1.0,),
            route=route,
            rule=GateSpec(general_drop=1.0, language_drop=1.0),
            device="cpu",
        )
    return TuningPlan(_small_general(general), split=SPLIT, spec=SPEC, route=route, device="cpu")


def _small_general(folder: Path) -> Path:
    """Write a part of the general set, which would take most of the time otherwise."""
    whole = load_dataset(general_path())
    queries = whole.queries[::GENERAL_EVERY]
    needed = {doc_id for query in queries for doc_id in whole.qrels[query.query_id]}
    texts = {found.doc_id: found.text for found in documents(whole) if found.doc_id in needed}
    return _written(folder, texts, {query.text: dict(whole.qrels[query.query_id]) for query in queries})


def _tiny_general(folder: Path) -> Path:
    world = make_world(TINY, per_round=20, truth=20, others=0)
    texts = {document.doc_id: document.text for document in world.documents}
    return _written(folder, texts, {question: {doc_id: 1} for question, doc_id in world.truth.items()})


def _written(folder: Path, texts: dict[str, str], grades: dict[str, dict[str, int]]) -> Path:
    write_beir(folder, grades)
    lines = [json.dumps({"_id": name, "title": "", "text": text}, ensure_ascii=False) for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder
