"""Is "not in your documents" said when it is true? `python -m tests.benchmarks.evidence WORK [ship|extract]`.

Needs ../shared/data, the offline model, and the indexes that `tests.benchmarks.retrieval WORK build` makes; small ones (the
general set, xquad, productdocs-en) are built in WORK. The signals of up to 300 judged queries of each set are kept
in WORK/signals.json. Printed is what a model fitted on all families of data sets but one does on that one; `ship` writes the
model of all into retriever/answers/evidence.json.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from quarry.app.wiring import choose_model
from quarry.demo_corpus import general_path
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.language import language_of
from quarry.retriever.answers.refusals import calibration as kept
from quarry.retriever.answers.refusals.calibrate import (
    LEAST,
    Case,
    Quality,
    cases,
    fit_cases,
    quality,
    strengths_of,
    usable_cases,
)
from quarry.retriever.answers.refusals.calibration import (
    REFUSED,
    Calibration,
    Kind,
    Model,
    shipped,
    shipped_file,
    shipped_origin,
    weighted_quantile,
)
from quarry.retriever.answers.refusals.signals import Signals
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.searcher import Searcher

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
QUERIES, OTHERS = 300, 120  # of each set: judged, and of other domains
# name, questions and judgements, split, family: sets of one family share texts, so they are held out together
SETS = (
    ("sqlfaq-zh", DATA / "sqlfaq-zh", "test", "sqlfaq"),
    ("winfaq-en", DATA / "winfaq-en", "test", "winfaq"),
    ("nq-qed-en", DATA / "nq-qed-en", "dev", "nq"),
    ("cmrc2018sent-zh", DATA / "cmrc2018sent-zh", "test", "cmrc"),
    ("scifact-en", DATA / "scifact-en", "test", "scifact"),
    ("writerhelp-zh2en", DATA / "writerhelp-zh2en", "test", "writerhelp"),
    ("productdocs-en", DATA / "productdocs-en", "test", "productdocs"),
    ("xquad-en", DATA / "xquad-en", "test", "xquad"),
    ("xquad-zh", DATA / "xquad-zh", "test", "xquad"),
    ("xquad-zh2en", DATA / "xquad-zh", "test", "xquad"),
    ("xquad-en2zh", DATA / "xquad-en", "test", "xquad"),
    ("general", general_path(), "test", "xquad"),
)
INDEX_OF = {"xquad-zh2en": "xquad-en", "xquad-en2zh": "xquad-zh"}  # the same ids in both languages
SOURCES = ("answer left out", "other domain")
FITTED: tuple[Kind, ...] = ("meaning", "across", "words")


def spread(items: list, count: int) -> list:
    """Return so many of the items, evenly spread."""
    return items if len(items) <= count else [items[n * len(items) // count] for n in range(count)]


def fit_families(families: Sequence[Sequence[Sequence[Case]]], kind: Kind) -> Model:
    """Fit a model on families of groups of cases; its threshold holds for questions of a kind that it has not seen.

    The threshold is where `REFUSED` of the answerable cases are refused when each family is judged by a model of the others;
    where fewer than two families have cases of this kind, it is that of the fit.

    Raises:
        ValueError: If there are fewer than two families, or one class of cases is missing.
    """
    if len(families) < 2:
        raise ValueError(f"{len(families)} families of cases; expected at least 2, so that one can be held out")
    whole = fit_cases([group for family in families for group in family], kind)
    able = [
        number
        for number, family in enumerate(families)
        if any(sum(case.answerable for case in usable_cases(group, kind)) >= LEAST for group in family)
    ]
    if len(able) < 2:
        return whole
    strengths, weights = [], []
    for number in able:
        model = fit_cases([g for place, rest in enumerate(families) if place != number for g in rest], kind)
        for group in families[number]:
            good = strengths_of(model, [case for case in group if case.answerable])
            if len(good) >= LEAST:
                strengths.append(good)
                weights.append(np.full(len(good), 1 / len(good)))
    return replace(whole, threshold=weighted_quantile(np.concatenate(strengths), np.concatenate(weights), REFUSED))


def opened(work: Path, name: str, folder: Path, chosen) -> Searcher:
    index = work / name / "index"
    if not (index / "quarry-index.json").is_file():
        source = next(folder.glob("corpus.jsonl*"))
        build_index(index, [source], chosen.embedder, BuildOptions(model_folder=chosen.folder, notes=chosen.notes))
    return Searcher.open(index, embedder=chosen.embedder)


def gather(work: Path) -> dict[str, list[Case]]:
    """Return the cases of each set, from WORK/signals.json where they are there already."""
    path = work / "signals.json"
    rows = json.loads(path.read_text()) if path.is_file() else {}
    chosen = None
    for name, folder, split, family in SETS:
        if name in rows:
            continue
        chosen = chosen or choose_model("auto", device="cpu")
        started = perf_counter()
        dataset = load_dataset(folder, split)
        searcher = opened(work, INDEX_OF.get(name, name), folder, chosen)
        queries = spread(list(dataset.queries), QUERIES // 2 if name in INDEX_OF else QUERIES)
        made = cases(searcher, queries, dataset.qrels, other_questions(name, family), chosen.embedder)
        found = [case for case in made if case.source != "not found"]
        rows[name] = [[asdict(case.signals), case.source, case.language] for case in found]
        path.write_text(json.dumps(rows))
        good = sum(case.answerable for case in found)
        print(
            f"{name}: {len(queries)} queries, {good} found, {perf_counter() - started:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return {name: [Case(Signals(**s), source, language) for s, source, language in rows[name]] for name, *_ in SETS}


def other_questions(name: str, family: str) -> list[str]:
    """Questions of other families: two of three in the language of this set's documents or questions."""
    own = "zh" if name.endswith(("-zh", "zh2en")) else "en"
    pools: dict[str, list[str]] = {"zh": [], "en": []}
    for other, folder, split, theirs in SETS:
        if theirs != family and other not in ("writerhelp-zh2en", "general", *INDEX_OF):
            for query in spread(list(load_dataset(folder, split).queries), 60):
                pools["zh" if language_of(query.text) == "zh" else "en"].append(query.text)
    foreign = "en" if own == "zh" else "zh"
    return spread(pools[own], OTHERS * 2 // 3) + spread(pools[foreign], OTHERS // 3)


def families(found: dict[str, list[Case]], but: str = "") -> list[list[list[Case]]]:
    """Return the cases of the sets of each family but one."""
    names = dict.fromkeys(family for *_, family in SETS if family != but)
    return [[found[name] for name, *_, theirs in SETS if theirs == family] for family in names]


def held_out(found: dict[str, list[Case]], kind: Kind) -> None:
    """Print what a model of all other families does on each set."""
    print(f"\n{kind}: fitted on all other families\n")
    print("| set | answerable | AUC | answerable refused | caught, answer left out | caught, other domain |")
    print("|---|---|---|---|---|---|")
    models = {family: fit_families(families(found, family), kind) for *_, family in SETS}
    rows = [(name, quality(models[family], found[name])) for name, _, _, family in SETS]
    rows = [(name, result) for name, result in rows if result.answerable >= LEAST]
    means = [("mean of the sets", mean([result for _, result in rows]))]
    for language in ("zh", "en"):
        parts = []
        for name, _, _, family in SETS:
            result = quality(models[family], [case for case in found[name] if case.language == language])
            if result.answerable >= LEAST:
                parts.append(result)
        if parts:
            means.append((f"mean, questions in {language}", mean(parts)))
    for name, r in rows + means:
        caught = " | ".join(f"{r.caught[source]:.3f}" for source in SOURCES)
        print(f"| {name} | {r.answerable} | {r.auc:.3f} | {r.refused:.3f} | {caught} |")


def mean(parts: list[Quality]) -> Quality:
    return Quality(
        float(np.mean([part.auc for part in parts])),
        float(np.mean([part.refused for part in parts])),
        {source: float(np.nanmean([part.caught[source] for part in parts])) for source in SOURCES},
        sum(part.answerable for part in parts),
    )


def ship(found: dict[str, list[Case]]) -> None:
    """Write the model of all sets."""
    groups = list(found.values())
    total = sum(case.answerable for group in groups for case in group)
    made = Calibration(
        meaning=fit_families(families(found), "meaning"),
        across=fit_families(families(found), "across"),
        tokens=shipped().tokens,  # `tests.benchmarks.evidence_mixed` fits it
        words=fit_families(families(found), "words"),
        origin=shipped_origin(len(groups), total),
        embedder="intfloat/multilingual-e5-small",
    )
    made.save(shipped_file())
    for kind in FITTED:
        model = made.model(kind)
        print(f"\n{kind}: threshold {model.threshold:.3f}")
        for name, weight in zip(kept.FEATURES[kind], model.weights, strict=True):
            print(f"  {name:10} {weight:+.2f}")


def main() -> None:
    work = Path(sys.argv[1])
    found = gather(work)
    if sys.argv[2:] == ["ship"]:
        ship(found)
    for kind in FITTED:
        held_out(found, kind)


if __name__ == "__main__":
    main()
