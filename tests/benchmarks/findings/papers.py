"""The eight findings: what the papers vary, in small."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from quarry.indexer.embedder import Pooling
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.few_shot import Shot, with_shots
from quarry.training.examples.example import Example
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.models.trainable import open_trainable
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.mine import mine_negatives
from quarry.training.negatives.spec import NegativeSpec
from tests.benchmarks.findings.bench import LAYERS, RANDOM, Bench, ndcg_of_own, spec_of
from tests.benchmarks.findings.bodies import as_decoder
from tests.benchmarks.findings.finding import Claim, Finding, Scores
from tests.training.in_context.two_readings import FORMAT, decoder, said, shots, task_rows, triples

_PAIRS = 640  # of the layers of the offline model
_MANY = 2_000  # of a body that begins at random
_WRONG = 0.3  # share of pairs with the passage of another one
Arm = Callable[[Bench, int], Scores]


def _tuned(settings: Mapping[str, Any], *, dims: tuple[int, ...] = ()) -> Arm:
    def run(bench: Bench, seed: int) -> Scores:
        folder = bench.trained(bench.layers(), bench.rows(_PAIRS, seed), {**LAYERS, **settings}, seed)
        return bench.measured(folder, dims=dims)

    return run


def _pretraining(how: str) -> Arm:
    def run(bench: Bench, seed: int) -> Scores:
        body = bench.random("bert", seed)
        if how != "none":
            texts = [row.pos[0] for row in bench.rows(3000, 1000 + seed)]
            draw = random.Random(seed)
            if how == "shuffled":
                texts = [_shuffled(text, draw) for text in texts]
            body = bench.pretrained(body, texts, {"batch_size": 32, "learning_rate": 1e-3, "epochs": 1}, seed)
        settings = {**RANDOM, "epochs": 2}
        return bench.measured(bench.trained(body, bench.rows(1500, seed), settings, seed))

    return run


def _shuffled(text: str, draw: random.Random) -> str:
    """Return a text with its words, or its characters where it has no spaces, in random order."""
    words = text.split() if text.count(" ") > len(text) / 20 else list(text)
    draw.shuffle(words)
    return (" " if len(words) < len(text) / 2 else "").join(words)


def _instruction(*, given: bool) -> Arm:
    def run(bench: Bench, seed: int) -> Scores:
        rows = bench.instructed(_PAIRS, seed) if given else bench.rows(_PAIRS, seed)
        settings = {**LAYERS, "max_query_tokens": 48}
        return bench.measured(bench.trained(bench.layers(), rows, settings, seed), prompts=given)

    return run


def _in_batches(size: int) -> Arm:
    def run(bench: Bench, seed: int) -> Scores:
        rows = bench.rows(_PAIRS, seed)
        settings = {
            **LAYERS,
            "batch_size": min(size, len(rows)),
            "learning_rate": 2e-4 * (size / 64) ** 0.5,
            "epochs": 2,
        }
        return bench.measured(bench.trained(bench.layers(), rows, settings, seed))

    return run


def _filtered(which: str) -> Arm:
    def run(bench: Bench, seed: int) -> Scores:
        rows = bench.rows(_PAIRS, seed)
        wrong = int(_WRONG * len(rows))
        passages = [row.pos for row in rows]
        mixed = [
            replace(row, pos=passages[(place + 1) % wrong] if place < wrong else row.pos)
            for place, row in enumerate(rows)
        ]
        if which != "all":
            kept = _consistent(mixed, bench)
            mixed = kept if which == "filtered" else random.Random(seed).sample(mixed, len(kept))
        return bench.measured(bench.trained(bench.layers(), mixed, LAYERS, seed))

    return run


def _consistent(rows: list[TrainingRow], bench: Bench) -> list[TrainingRow]:
    """Leave out pairs whose passage a model does not rank among the first 50 for their query."""
    embedder = load_embedder(bench.layers(), device=bench.device)
    corpus = MiningCorpus.from_texts([row.pos[0][:200] for row in rows], embedder)
    cut = [replace(row, pos=(row.pos[0][:200],)) for row in rows]
    whole = {(one.query, one.pos[0]): row for one, row in zip(cut, rows, strict=True)}
    found = mine_negatives([Example.of(row) for row in cut], corpus, NegativeSpec(number=1, consistent_within=50))
    return [whole[one.row.query, one.row.pos[0]] for one in found.examples]


def _decoder(pooling: Pooling, *, both_ways: bool) -> Arm:
    def run(bench: Bench, seed: int) -> Scores:
        body = bench.random("qwen3", seed)
        as_decoder(body, pooling=pooling, both_ways=both_ways)
        return bench.measured(bench.trained(body, bench.rows(_MANY, seed), RANDOM, seed))

    return run


READINGS: Mapping[str, Any] = {
    "epochs": 6,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "loss": {"temperature": 0.05, "hard_negatives": 1},
    "batches": {"order": "homogeneous"},
    "in_context": {},
}
_ASKED = "<query>{query}\n<response>"


def _in_context(*, trained: bool) -> Arm:
    def run(bench: Bench, seed: int) -> Scores:
        body = bench.random("qwen3", 100 + seed)
        as_decoder(body, pooling="last_token", both_ways=False, query_format=_ASKED)
        settings = {**RANDOM, "batches": {"order": "homogeneous"}, "max_query_tokens": 32}
        if trained:
            settings["in_context"] = {"examples": 3, "part_tokens": 24, "max_tokens": 256}
        rows = bench.rows(_MANY, seed)
        examples: dict[str, list[Shot]] = {}
        for row in rows:
            held = examples.setdefault(row.kind, [])
            if len(held) < 3:
                held.append(Shot(row.query[:60], row.pos[0][:60]))
        return bench.shown(bench.trained(body, rows, settings, seed), examples)

    return run


def _readings(bench: Bench, seed: int) -> Scores:
    """Train on a family of made-up tasks where only the examples say what is asked for, and ask with and without them."""
    every = triples(1000, seed)
    trained, held, shown = every[: bench.count(600)], every[880:950], every[950:953]
    body = decoder(bench.own / "readings", seed=seed)
    rows = task_rows(trained, "x") + task_rows(trained, "y")
    opened = open_trainable(bench.trained(body, rows, READINGS, seed), spec_of({}, 0), device=bench.device)
    texts = [said(letter, one) for letter in "xy" for one in held]
    passages = opened.embed(texts, max_tokens=48, token_budget=4096)
    found: Scores = {}
    for measure, given in (("zero-shot", False), ("few-shot", True)):
        parts = []
        for letter in "xy":
            examples = shots(letter, shown) if given else ()
            shape = replace(opened.shape, query_format=with_shots(FORMAT, examples))
            queries = replace(opened, shape=shape).embed_queries(
                [said("n", one) for one in held], [""] * len(held), max_tokens=32, token_budget=4096
            )
            parts.append(queries)
        found[measure] = ndcg_of_own(np.concatenate(parts), passages)
    return found


_DIMS = (384, 256, 128, 64)
_ALL = "all"
_POOLINGS: Mapping[str, Pooling] = {"last": "last_token", "mean": "mean"}
_SEMI: Mapping[str, Mapping[str, Any]] = {
    "random": {},
    **{f"semi-homogeneous {ratio}": {"batches": {"order": "semi-homogeneous", "ratio": ratio}} for ratio in (0.7,)},
    "homogeneous": {"batches": {"order": "homogeneous"}},
}
FINDINGS: Mapping[str, Finding] = {
    "pretraining": Finding(
        "RetroMAE before contrastive tuning (C-Pack, table 3)",
        {how: _pretraining(how) for how in ("none", "retromae", "shuffled")},
        (
            Claim("pre-trained against not", ("retromae", _ALL), ("none", _ALL)),
            Claim("pre-trained on texts against shuffled ones", ("retromae", _ALL), ("shuffled", _ALL)),
        ),
    ),
    "instruction": Finding(
        "An instruction for each data set (C-Pack, KaLM)",
        {"none": _instruction(given=False), "instruction": _instruction(given=True)},
        (Claim("with instruction against without", ("instruction", _ALL), ("none", _ALL)),),
    ),
    "batch-size": Finding(
        "Batch size of in-batch negatives, the same pairs (C-Pack, table 4)",
        {str(size): _in_batches(size) for size in (16, 128)},
        (Claim("128 against 16", ("128", _ALL), ("16", _ALL)),),
    ),
    "consistency": Finding(
        "Ranking consistency filter (KaLM), three of ten pairs with a wrong passage",
        {which: _filtered(which) for which in ("all", "as many", "filtered")},
        (
            Claim("filtered against all pairs", ("filtered", _ALL), ("all", _ALL)),
            Claim("filtered against as many pairs", ("filtered", _ALL), ("as many", _ALL)),
        ),
    ),
    "matryoshka": Finding(
        "Matryoshka (KaLM)",
        {
            "plain": _tuned({}, dims=_DIMS),
            "matryoshka": _tuned({"matryoshka": {"dims": _DIMS, "weights": [1.0, 0.3, 0.2, 0.1]}}, dims=_DIMS),
        },
        tuple(Claim(f"at {dim} dimensions", ("matryoshka", str(dim)), ("plain", str(dim))) for dim in _DIMS),
    ),
    "batches": Finding(
        "One data set in a batch: semi-homogeneous ratio (KaLM)",
        {name: _tuned(settings) for name, settings in _SEMI.items()},
        tuple(Claim(f"{name} against random", (name, _ALL), ("random", _ALL)) for name in _SEMI if name != "random"),
    ),
    "attention": Finding(
        "Causal or bidirectional attention, mean or last token, of a decoder (bge-en-icl, table 4)",
        {
            f"{'bidirectional' if both_ways else 'causal'}, {name}": _decoder(pooling, both_ways=both_ways)
            for both_ways in (False, True)
            for name, pooling in _POOLINGS.items()
            if not both_ways or pooling == "mean"
        },
        (
            Claim("causal: last against mean", ("causal, last", _ALL), ("causal, mean", _ALL)),
            Claim("mean: bidirectional against causal", ("bidirectional, mean", _ALL), ("causal, mean", _ALL)),
        ),
    ),
    "examples": Finding(
        "Zero-shot and few-shot (bge-en-icl)",
        {"without": _in_context(trained=False), "in context": _in_context(trained=True), "made-up tasks": _readings},
        (
            Claim(
                "made-up tasks: few-shot against zero-shot",
                ("made-up tasks", "few-shot"),
                ("made-up tasks", "zero-shot"),
            ),
            Claim(
                "few-shot against zero-shot, trained in context",
                ("in context", "few-shot"),
                ("in context", "zero-shot"),
            ),
            Claim("few-shot in context against trained without", ("in context", "few-shot"), ("without", "zero-shot")),
            Claim(
                "zero-shot in context against trained without", ("in context", "zero-shot"), ("without", "zero-shot")
            ),
        ),
    ),
}
