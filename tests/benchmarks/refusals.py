"""Do refusals keep their promise? `python -m tests.benchmarks.refusals WORK CACHE [ship]` prints the tables of docs/results/answers.md.

Needs ../shared/data and the offline model. The judged sets are those of `tests.benchmarks.fusion_sets`, whose vectors are kept below CACHE
(that of `tests.benchmarks.fusion` serves); indexes and signals are kept in WORK. The first run takes about 10 minutes on one core.

Three thresholds are judged on each set: that of index and families (`own_threshold`), chosen without the set's family, by a model that was
fitted without it; that of judged questions of the index (`least_threshold`), half of them at most 200 for the threshold and the others
for the figures, 50 times; and the one before, at which 5 % of the answerable questions are refused. Level, weight and
shipped threshold are those by which most sets of the other families are `good`: they keep the promise and answer 60 %, as questions
come and with one near miss in ten. `ship` chooses on all families, for the models that ship, and writes the choice beside their weights.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.language import language_of
from quarry.indexer.records import Document
from quarry.retriever.answers.refusals import calibration as kept
from quarry.retriever.answers.refusals.calibrate import MOST, Case, cases, fit_cases, usable_cases
from quarry.retriever.answers.refusals.calibration import (
    REFUSED,
    Kind,
    Model,
    shipped,
    shipped_file,
    values,
    weighted_quantile,
)
from quarry.retriever.answers.refusals.own import own_questions, unanswerable
from quarry.retriever.answers.refusals.promise import NEAR_MISSES, PROMISED, Judged, least_threshold, own_threshold
from quarry.retriever.answers.refusals.signals import Signals
from quarry.retriever.ranking import Query
from quarry.retriever.rerankers.late_interaction import LateInteraction
from quarry.retriever.searcher import Searcher, document_of
from tests.benchmarks.fusion_sets import SOURCES, JudgedSet, all_sets, hashed
from tests.benchmarks.kept_vectors import KeptEmbedder, Vectors
from tests.benchmarks.stages import StatesOnDemand

ACROSS = ("xquad-zh2en", "xquad-en2zh", "writerhelp-zh2en")
NO_QUESTIONS = ("cisi-en", *ACROSS)  # not asked of other sets: abstracts, or questions of another set
OTHERS = 30  # questions of other domains, of each language
SPLITS = 50
ANSWERED = 0.6  # of the questions: wanted
SLACK_UNSUPPORTED, SLACK_ANSWERED = (
    0.01,
    0.04,
)  # one question more or less on these sets, so that none decides a choice alone
LEVELS, WEIGHTS, SHIPPED = (
    (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    (0.0, 0.25, 0.5, 0.75, 1.0),
    (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75),
)
Choice = tuple[float, float, float]  # level, weight, shipped threshold


@dataclass(frozen=True)
class Asked:
    """One judged set: the cases of its questions, and those of questions made of its documents."""

    name: str
    family: str
    cases: Sequence[Case]
    own: Sequence[Case]

    def judged(self, model: Model, kind: Kind) -> Judged:
        """The judged questions as a model of a kind sees them."""
        found = {source: self._strengths(self.cases, source, model, kind) for source in ("judged", "not found")}
        supported = np.repeat([True, False], [len(found["judged"]), len(found["not found"])])
        near = self._strengths(self.cases, "answer left out", model, kind)
        return Judged(np.concatenate([found["judged"], found["not found"]]), supported, near)

    def others(self, model: Model, kind: Kind) -> np.ndarray:
        """Strengths of questions of other domains."""
        return self._strengths(self.cases, "other domain", model, kind)

    def near(self, model: Model, kind: Kind) -> np.ndarray:
        """Strengths of the near misses made of the documents."""
        return self._strengths(unanswerable(self.own), "answer left out", model, kind)

    @staticmethod
    def _strengths(group: Sequence[Case], source: str, model: Model, kind: Kind) -> np.ndarray:
        rows = [values(case.signals, kind) for case in usable_cases(group, kind) if case.source == source]
        return model.strengths(np.array(rows).reshape(len(rows), -1)) if rows else np.zeros(0)


def gather(work: Path, cache: Path) -> list[Asked]:
    """Return every set's cases, from WORK/refusals.json where they are there already."""
    path = work / "refusals.json"
    rows = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    base = {one.name: one for one in all_sets() if one.name in SOURCES} if set(SOURCES) - set(rows) else {}
    for name, one in base.items():
        if name not in rows:
            found = _asked(work, one, _others(base, one), KeptEmbedder(Vectors("offline", cache)))
            rows[name] = [[[asdict(case.signals), case.source, case.language] for case in part] for part in found]
            path.write_text(json.dumps(rows), "utf-8")
            print(f"{name}: {len(found[0])} and {len(found[1])} cases", file=sys.stderr, flush=True)
    return [
        Asked(name, SOURCES[name].family, *([Case(Signals(**s), *rest) for s, *rest in part] for part in rows[name]))
        for name in SOURCES
    ]


def _others(base: dict[str, JudgedSet], one: JudgedSet) -> list[str]:
    pools: dict[str, list[str]] = {"zh": [], "en": []}
    for other in base.values():
        if other.family != one.family and other.name not in NO_QUESTIONS:
            for text in sorted(other.queries.values(), key=hashed)[:12]:
                pools["zh" if language_of(text) == "zh" else "en"].append(text)
    return [text for pool in pools.values() for text in sorted(pool, key=hashed)[:OTHERS]]


def _asked(work: Path, one: JudgedSet, others: list[str], embedder: KeptEmbedder) -> tuple[list[Case], list[Case]]:
    root = work / SOURCES[one.name].corpus / hashed(repr(one.documents))[:16]
    if not root.is_dir():
        documents = [Document(key, text or title, title=title) for key, title, text in one.documents]
        index_documents(root, documents, embedder, BuildOptions(rerank_vectors=False))
    searcher = Searcher.open(root, embedder=embedder)
    own = own_questions(searcher.index)
    mine = {f"own-{n}": {document_of(chunk_id): 1} for n, (chunk_id, _) in enumerate(own)}
    made = cases(searcher, [Query(f"own-{n}", text) for n, (_, text) in enumerate(own)], mine, (), embedder)
    if one.name in ACROSS:
        searcher.pipeline.late = LateInteraction({"": StatesOnDemand(searcher.index, embedder)}, lambda: embedder)
    queries = [Query(key, text) for key, text in one.queries.items()]
    return cases(searcher, queries, one.qrels, others, embedder), made


def fitted(sets: Sequence[Asked], kind: Kind, *but: str) -> Model:
    """Fit a model without some families; for passages in the other language there are too few families, and it is the shipped one."""
    if kind in ("tokens", "across"):
        return shipped().model(kind)
    return fit_cases([one.cases for one in sets if one.family not in but and one.name not in ACROSS], kind)


def threshold_of(near: np.ndarray, model: Model, choice: Choice) -> float:
    """Return the threshold of an index at a choice, by the strengths of its own near misses."""
    level, weight, answers = choice
    return own_threshold(near, replace(model, level=level, weight=weight, answers=answers)) if weight else answers


def choose(sets: Sequence[Asked], kind: Kind, but: str) -> Choice:
    """Return the choice of all families but one; each family is judged by a model that was fitted on neither of the two.

    The choice of all families (an empty `but`) is for the models that ship.
    """
    able = [one for one in sets if one.family != but and (one.name in ACROSS) == (kind in ("tokens", "across"))]
    families = [one.family for one in able]
    weights = np.array([1 / families.count(family) for family in families])
    models = {family: fitted(sets, kind, family, but) if but else shipped().model(kind) for family in set(families)}
    seen = [
        (models[one.family], one.judged(models[one.family], kind), one.near(models[one.family], kind)) for one in able
    ]
    choices = [
        choice
        for choice in product(LEVELS, (0.0,) if kind in ("tokens", "across") else WEIGHTS, SHIPPED)
        if choice[1] or choice[0] == LEVELS[0]  # without a weight, the level has no say
    ]

    def worth(choice: Choice) -> float:
        return float(weights @ [good(judged, threshold_of(near, model, choice)) for model, judged, near in seen])

    return max(choices, key=worth)


def good(judged: Judged, threshold: float) -> float:
    """Return how far a threshold keeps the promise and answers enough, in [0, 2]: as questions come, and with near misses.

    Either counts as much as both its shares are on the right side, and half each where one is on the edge. A broken promise counts
    double against few answers.
    """
    return sum(
        _side((PROMISED - judged.unsupported(threshold, share)) / SLACK_UNSUPPORTED) ** 2
        * _side((judged.shares(threshold, share)[1] - ANSWERED) / SLACK_ANSWERED)
        for share in (0.0, NEAR_MISSES)
    )


def _side(distance: float) -> float:
    return 0.5 * (1 + float(np.tanh(distance / 2)))


def by_what_ships(one: Asked, kind: Kind, near_misses: float) -> tuple[float, float]:
    """Return the shares of the answers that are unsupported and of the questions that are answered, by the shipped model and choice."""
    model = shipped().model(kind)
    judged = one.judged(model, kind)
    threshold = threshold_of(one.near(model, kind), model, (model.level, model.weight, model.answered))
    return judged.unsupported(threshold, near_misses), judged.shares(threshold, near_misses)[1]


def by_questions(judged: Judged, near_misses: float) -> tuple[float, float]:
    """Return the mean shares of other questions, unsupported of the answered and answered of all, by thresholds of half of them."""
    draw, count, found = np.random.default_rng(0), len(judged.strengths), []
    half = min(MOST, count // 2)
    for _ in range(SPLITS):
        asked, near = draw.permutation(count), draw.permutation(len(judged.near))
        first, rest = _part(judged, asked[:half], near[:half]), _part(judged, asked[half:], near[half:])
        threshold = least_threshold(first, near_misses=near_misses)
        wrong, answered = rest.shares(threshold, near_misses)
        found.append((wrong, answered))
    wrong, answered = np.mean(found, axis=0)
    return (wrong / answered if answered else 0.0), answered


def _part(judged: Judged, asked: np.ndarray, near: np.ndarray) -> Judged:
    return Judged(judged.strengths[asked], judged.supported[asked], judged.near[near])


def lines(sets: Sequence[Asked], kind: Kind) -> Iterator[str]:
    """Yield a row for each set that has questions of a kind."""
    for one in sets:
        if (one.name in ACROSS) != (kind in ("tokens", "across")):
            continue
        model = fitted(sets, kind, one.family)
        judged, choice = one.judged(model, kind), choose(sets, kind, one.family)
        threshold = threshold_of(one.near(model, kind), model, choice)
        supported = judged.strengths[judged.supported]
        before = weighted_quantile(supported, np.ones(len(supported)), REFUSED)
        cells = [f"{len(judged.strengths)}", f"{threshold:.2f}"]
        cells += _cells(lambda share, at=threshold, of=judged: (of.unsupported(at, share), of.shares(at, share)[1]))
        cells += _cells(lambda share, of=one: by_what_ships(of, kind, share))[:1]
        cells.append(f"{(judged.near < threshold).mean():.2f} ({(judged.near < before).mean():.2f})")
        cells.append(f"{(one.others(model, kind) < threshold).mean():.2f}")
        cells += _cells(lambda share, of=judged: by_questions(of, share))
        yield f"| {one.name} | {' | '.join(cells)} |"


def _cells(figures: Callable[[float], tuple[float, float]]) -> list[str]:
    """Return the cells without and with near misses; what breaks the promise is bold, and too few answers are marked."""
    out = []
    for share in (0.0, NEAR_MISSES):
        wrong, answered = figures(share)
        said = f"**{wrong:.3f}**" if wrong > PROMISED else f"{wrong:.3f}"
        out.append(f"{said}, {answered:.2f}{'' if answered >= ANSWERED else ' (few)'}")
    return out


def main(arguments: Sequence[str]) -> None:
    """Print the tables, and ship the choice of all families when asked to."""
    sets = gather(Path(arguments[0]), Path(arguments[1]))
    chosen: dict[Kind, Choice] = {}
    for kind in kept.KINDS:
        chosen[kind] = choose(sets, kind, but="")
        print(
            f"\n{kind}: chosen on all families: level {chosen[kind][0]}, weight {chosen[kind][1]}, threshold {chosen[kind][2]}\n"
        )
        print(
            "| set | questions | threshold | as they come | one near miss in ten | as they come, by what ships | near misses caught (before) | other domains caught | judged: as they come | judged: one in ten |"
        )
        print("|---" * 10 + "|")
        print("\n".join(lines(sets, kind)), flush=True)
    if arguments[2:] == ["ship"]:
        models = {
            kind: replace(shipped().model(kind), level=level, weight=weight, answers=answers)
            for kind, (level, weight, answers) in chosen.items()
        }
        replace(shipped(), **models).save(shipped_file())


if __name__ == "__main__":
    main(sys.argv[1:])
