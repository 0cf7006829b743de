"""Refusals in indexes of two languages: `python -m tests.benchmarks.evidence_mixed WORK [ship|across]`.

Uses the indexes of `tests.benchmarks.mixed` below WORK and keeps signals in WORK/mixed-signals.json. Answerable: a relevant document is
among the first ten results; unanswerable: the same search without its relevant documents, and questions of other domains. Printed
is how many are refused; the models `tokens` and `across`, for a best passage in the other language than the question with and
without token states, are fitted without the family of the corpus. `ship` writes those of all families into
retriever/answers/evidence.json, `across` prints the table without token states.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from quarry.app.wiring import choose_model
from quarry.indexer.embedder import Embedder
from quarry.indexer.language import language_of
from quarry.retriever.answers.refusals.calibration import (
    REFUSED,
    Kind,
    Model,
    fit,
    kind_of,
    shipped,
    shipped_file,
    values,
    weighted_quantile,
)
from quarry.retriever.answers.refusals.observed import observe
from quarry.retriever.answers.refusals.signals import LOOKED_AT, Signals
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.benchmarks.mixed import opened
from tests.benchmarks.mixed_sets import SETS
from tests.benchmarks.retrieval import DATA

QUESTIONS, OTHERS = 40, 10  # of each direction; of each set of another domain
FAMILIES = {
    "demo": "xquad",
    "xquad": "xquad",
    "sqlfaq + writerhelp": "writerhelp",
    "writerhelp + cmrc": "writerhelp",
    "tatoeba + cmrc sentences": "tatoeba",
}  # of the questions across languages; other corpora have none
POOL = (
    ("sqlfaq", "sqlfaq-zh", "test"),
    ("cmrc2018", "cmrc2018-zh", "test"),
    ("csl", "csl-zh", "test"),
    ("nq", "nq-qed-en", "dev"),
    ("scifact", "scifact-en", "test"),
    ("winfaq", "winfaq-en", "test"),
    ("codebase", "codebase-en", "test"),
    ("xquad", "xquad-zh", "test"),
    ("xquad", "xquad-en", "test"),
)
_PATIENT = SearchOptions(dense_budget_ms=1e7, rerank_budget_ms=1e7)


@dataclass(frozen=True)
class Case:
    """Signals of a search; `source` is `judged`, `answer left out` or `other domain`."""

    signals: Signals
    source: str
    direction: str


def gather(work: Path, embedder: Embedder) -> dict[str, list[Case]]:
    """Return the cases of each corpus, from the file where they are there already."""
    path = work / "mixed-signals.json"
    rows = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for name in SETS:
        if name not in rows:
            rows[name] = [[asdict(one.signals), one.source, one.direction] for one in _cases(work, name, embedder)]
            path.write_text(json.dumps(rows), "utf-8")
    return {name: [Case(Signals(**s), source, direction) for s, source, direction in rows[name]] for name in SETS}


def _cases(work: Path, name: str, embedder: Embedder) -> Iterator[Case]:
    mixed = SETS[name]()
    searcher = opened(work, name, mixed, embedder)
    asked: defaultdict[str, int] = defaultdict(int)
    for one in mixed.asked:
        asked[one.direction] += 1
        if asked[one.direction] <= QUESTIONS:
            yield from _judged(searcher, one.query.text, one.relevant, one.direction, embedder)
    families = {one.family for one in mixed.asked}
    for family, folder, split in POOL:
        queries = load_dataset(DATA / folder, split).queries
        for query in queries[:: max(1, len(queries) // OTHERS)][: OTHERS if family not in families else 0]:
            results = searcher.search(query.text, LOOKED_AT, _PATIENT).results
            vector = embedder.embed_queries([query.text])[0]
            found = observe(query.text, results, searcher.index, vector, searcher.pipeline.late)
            yield Case(found, "other domain", f"{language_of(query.text)}>?")


def _judged(
    searcher: Searcher, question: str, relevant: frozenset[str], direction: str, embedder: Embedder
) -> Iterator[Case]:
    results = searcher.search(question, 4 * LOOKED_AT, _PATIENT).results
    vector = embedder.embed_queries([question])[0]
    if any(result.doc_id in relevant for result in results[:LOOKED_AT]):
        without = [result for result in results if result.doc_id not in relevant]
        for shown, source in ((results, "judged"), (without, "answer left out")):
            signals = observe(question, shown, searcher.index, vector, searcher.pipeline.late)
            yield Case(signals, source, direction)


def fit_across(found: dict[str, list[Case]], kind: Kind, but: str = "") -> Model:
    """Fit the model of the families but one; its threshold refuses 5 % of the answerable of families held out in turn.

    The number of passages has no say: these corpora are too small to tell what it does in large ones.
    """
    groups = {
        name: [case for case in cases if kind_of(case.signals) in ("tokens", "across")]
        for name, cases in found.items()
        if FAMILIES.get(name, name) != but
    }
    now = shipped().model(kind)
    whole = replace(_fitted(list(groups.values()), kind), answers=now.answers, level=now.level, weight=now.weight)
    families = sorted({FAMILIES[name] for name in groups if name in FAMILIES})
    strengths, weights = [], []
    for family in families if len(families) > 1 else ():
        model = _fitted([cases for name, cases in groups.items() if FAMILIES.get(name) != family], kind)
        held = [case for name, cases in groups.items() if FAMILIES.get(name) == family for case in cases]
        good = np.array([model.strength(case.signals) for case in held if case.source == "judged"])
        strengths.append(good)
        weights.append(np.full(len(good), 1 / len(good)))
    if not strengths:
        return whole
    return replace(whole, threshold=weighted_quantile(np.concatenate(strengths), np.concatenate(weights), REFUSED))


def _fitted(groups: Sequence[Sequence[Case]], kind: Kind) -> Model:
    cases, weights = [], []
    for group in groups:
        for source in {case.source for case in group}:
            same = [case for case in group if case.source == source]
            cases += same
            weights += [1 / len(same)] * len(same)
    rows = np.array([values(case.signals, kind) for case in cases])
    if kind == "across":
        rows[:, -1] = 0.0  # the number of passages
    return fit(rows, np.array([case.source == "judged" for case in cases]), np.array(weights), kind)


def table(found: dict[str, list[Case]], foreign: Kind) -> None:
    """Print how many questions are refused, by corpus, direction and whether they can be answered; `foreign` is tokens or across."""
    print("| corpus | direction | answerable | answer left out | other domain |\n|---|---|---|---|---|")
    for name, cases in found.items():
        models = {kind: shipped().model(kind) for kind in ("meaning", "words")}
        models["tokens"] = models["across"] = fit_across(found, foreign, FAMILIES.get(name, name))
        refused: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
        for case in cases:
            model = models[kind_of(case.signals)]
            refused[case.direction, case.source].append(model.strength(case.signals) < model.answered)
        for direction in sorted({case.direction for case in cases}):
            cells = [
                f"{sum(refused[direction, source])} of {len(refused[direction, source])}"
                for source in ("judged", "answer left out", "other domain")
            ]
            print(f"| {name} | {direction} | {' | '.join(cells)} |".replace("0 of 0", ""))


def main(arguments: Sequence[str]) -> None:
    """Print the table, and write the model of all families when asked to."""
    embedder = choose_model("auto", device="cpu").embedder
    if embedder is None:
        raise SystemExit("no embedding model on this machine; expected the offline model")
    found = gather(Path(arguments[0]), embedder)
    table(found, "across" if arguments[1:] == ["across"] else "tokens")
    if arguments[1:] == ["ship"]:
        made = replace(shipped(), across=fit_across(found, "across"), tokens=fit_across(found, "tokens"))
        made.save(shipped_file())


if __name__ == "__main__":
    main(sys.argv[1:])
