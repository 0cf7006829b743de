"""What the Evaluate page shows, as rows of plain text and numbers, from saved evaluations. It draws nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.shown_text import Row, Say, counted, told
from quarry.app.ui.shared.vocabulary import method_name
from quarry.indexer.errors import CorpusError
from quarry.retriever.data.datasets import UnknownDocuments
from quarry.retriever.data.trec import Qrels
from quarry.retriever.diagnosis.sweeps import quality_by_depth
from quarry.retriever.evaluation.compare import Comparison, compare_many
from quarry.retriever.evaluation.evaluate import Mean
from quarry.retriever.evaluation.routes import RERANKED, ROUTES
from quarry.retriever.evaluation.saved import Questions, SavedEvaluation, list_evaluations, load_evaluation

DEPTHS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
OWN_JUDGEMENTS = "judged-by-users"  # the folder of what users judged, and so the data set of evaluations made with it
_TIMES = "_ms"  # the ending of facts that are milliseconds per question


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A saved evaluation with its label on the page; labels of runs shown together differ."""

    label: str
    saved: SavedEvaluation

    def mean(self, measure: str) -> Mean:
        """The mean of one metric, with its interval."""
        return self.saved.evaluation.means[measure]

    @property
    def milliseconds(self) -> float:
        """Mean time per question over all stages."""
        facts = self.saved.meta.more
        return sum(float(value) for name, value in facts.items() if name.endswith(_TIMES))


def method_of(saved: SavedEvaluation, say: Say) -> str:
    """Return the name of the search method that was measured."""
    return method_name(saved.meta.route + (RERANKED if saved.meta.rerank != "none" else ""), say)


def read_saved(
    folder: Path, say: Say, clock: Clock, read: Callable[[Path], SavedEvaluation] = load_evaluation
) -> tuple[dict[str, str], dict[str, str]]:
    """List the saved evaluations, newest first.

    Args:
        folder: The folder of saved evaluations; it may be missing.
        say: Picks the language.
        clock: The reader's.
        read: Reads one; pass a caching function, because evaluations never change.

    Returns:
        Name to label of those that can be read, and name to reason of those that cannot.
    """
    found: list[tuple[str, str, str]] = []  # time, name, label
    faults: dict[str, str] = {}
    for path in list_evaluations(folder):
        try:
            saved = read(path)
        except CorpusError as err:
            faults[path.name] = told(err, say)
        else:
            found.append((saved.meta.created, path.name, long_label(saved, say, clock)))
    return {name: label for _, name, label in sorted(found, reverse=True)}, faults


def long_label(saved: SavedEvaluation, say: Say, clock: Clock) -> str:
    """Return one line that identifies a saved evaluation: time, data set, search method, generation, main value."""
    meta, evaluation = saved.meta, saved.evaluation
    main = evaluation.measures[0]
    when = clock.moment(meta.created)
    value = f"{main} {evaluation.means[main].value:.4f}"
    return f"{when}  {_data_set(saved, say)}  {method_of(saved, say)}  {meta.generation}  {value}"


def _data_set(saved: SavedEvaluation, say: Say) -> str:
    meta = saved.meta
    if meta.dataset == OWN_JUDGEMENTS:
        return say("What your users judged", "您的用户的标注")
    return f"{meta.dataset}/{meta.split}"


def named_runs(saved: Sequence[SavedEvaluation], say: Say, clock: Clock) -> tuple[NamedRun, ...]:
    """Give each run the shortest distinct label: search method, then generation, then time, then number."""
    forms: list[Callable[[int, SavedEvaluation], str]] = [
        lambda _, one: method_of(one, say),
        lambda _, one: f"{method_of(one, say)} {one.meta.generation}",
        lambda _, one: f"{method_of(one, say)} {one.meta.generation} {clock.moment(one.meta.created)}",
    ]
    for form in forms:
        labels = [form(place, one) for place, one in enumerate(saved)]
        if len(set(labels)) == len(labels):
            return tuple(map(NamedRun, labels, saved))
    return tuple(NamedRun(f"{place}. {method_of(one, say)}", one) for place, one in enumerate(saved, start=1))


def why_not_comparable(runs: Sequence[NamedRun], say: Say) -> str:
    """Return why runs cannot be compared; empty when they can."""
    first = runs[0].saved
    for run in runs[1:]:
        other = run.saved
        if (first.meta.dataset_digest, first.evaluation.qrels_digest) != (
            other.meta.dataset_digest,
            other.evaluation.qrels_digest,
        ):
            ours, theirs = (f"{_data_set(one, say)} ({one.meta.dataset_digest[:8]})" for one in (first, other))
            return say(
                f"{runs[0].label} was measured on {ours} and {run.label} on {theirs}: the questions or judgements differ, so "
                "their figures cannot be compared. Choose runs of one data set.",
                f"{runs[0].label} 的数据集是 {ours}，而 {run.label} 的是 {theirs}：问题或标注不同，数值之间没有可比性。"
                "请选择同一数据集的评测。",
            )
    if not shared_measures(runs):
        return say("These runs have no metric in common.", "这些评测没有共同的指标。")
    return ""


def shared_measures(runs: Sequence[NamedRun]) -> tuple[str, ...]:
    """Return the quality metrics that all runs have, in the order of the first."""
    first, *others = (run.saved.evaluation.measures for run in runs)
    shared = (name for name in first if all(name in other for other in others))
    return tuple(name for name in shared if not name.startswith("Judged@"))


def table_rows(runs: Sequence[NamedRun], say: Say) -> list[Row]:
    """Return the table of means: every metric with its 95 % interval, ceiling, time, judged share, and facts that differ."""
    measures = shared_measures(runs)
    differing = _facts_that(runs, say, differ=True)
    return [
        {
            say("Search method", "检索方式"): run.label,
            **{name: _with_interval(run.mean(name)) for name in measures},
            say("Ceiling", "上限"): f"{float(run.saved.meta.more.get('ceiling', 0)):.4f}",
            say("ms per question", "毫秒/问题"): f"{run.milliseconds:.1f}",
            say("judged@10", "已标注@10"): f"{run.saved.evaluation.judged:.0%}",
            **{name: values[place] for name, values in differing.items()},
        }
        for place, run in enumerate(runs)
    ]


def shared_words(runs: Sequence[NamedRun], say: Say) -> str:
    """Return the facts that all runs share, in one line: as columns they would push others off the page."""
    shared = _facts_that(runs, say, differ=False)
    return " · ".join(say(f"{name}: {values[0]}", f"{name}：{values[0]}") for name, values in shared.items())


def _facts_that(runs: Sequence[NamedRun], say: Say, *, differ: bool) -> dict[str, list[str]]:
    """Return the facts about the runs that differ between them, or that do not."""
    first = shared_measures(runs)[0]
    facts = {
        say("Questions", "问题数"): [str(run.mean(first).count) for run in runs],
        say("Unanswered", "无结果"): [str(len(run.saved.evaluation.unanswered)) for run in runs],
        say("Generation", "版本"): [run.saved.meta.generation for run in runs],
        say("Model", "模型"): [run.saved.meta.model.partition(" ")[0] or "-" for run in runs],
    }
    return {name: values for name, values in facts.items() if (len(set(values)) > 1) == differ}


def _with_interval(mean: Mean) -> str:
    if mean.low is None or mean.high is None:
        return f"{mean.value:.4f}"
    return f"{mean.value:.4f} ({mean.low:.2f}-{mean.high:.2f})"


def comparisons(runs: Sequence[NamedRun], measure: str) -> dict[str, Comparison]:
    """Compare every further run with the first one.

    Raises:
        CorpusError: If the judgements differ.
        ValueError: If one lacks the metric.
    """
    others = {run.label: run.saved.evaluation for run in runs[1:]}
    return compare_many(runs[0].saved.evaluation, others, measure)


def remarks(
    runs: Sequence[NamedRun], questions: Questions | None, unknown: UnknownDocuments | None, say: Say
) -> list[str]:
    """Return what a reader of the figures should know, one plain sentence each."""
    found = []
    for run in runs:
        if losses := run.saved.meta.degraded():
            degraded = say("; ", "；").join(told(loss, say) for loss in losses)
            found.append(say(f"{run.label} was degraded: {degraded}", f"{run.label} 有降级：{degraded}"))
    excluded = runs[0].saved.evaluation.excluded
    if excluded:
        found.append(
            say(
                f"{counted(len(excluded), 'question has', 'questions have')} no relevant document and no part in the means.",
                f"{len(excluded)} 个问题没有相关文档，未计入平均值。",
            )
        )
    if questions is None:
        found.append(
            say(
                "This evaluation was saved without its questions: it has figures, but no texts, groups or recall curve.",
                "该评测没有保存问题：只有数值，没有文本、分组和召回曲线。",
            )
        )
    oddities = (
        ("unjudged", "question without a judgement", "questions without a judgement", "个问题没有标注"),
        (
            "without_query",
            "judged question without a text",
            "judged questions without a text",
            "个已标注的问题没有文本",
        ),
        ("repeated", "duplicate judgement", "duplicate judgements", "条标注重复"),
    )
    facts = runs[0].saved.meta.more
    found += [
        say(
            f"{counted(int(facts[name]), one, many)} in the data set; left out.",
            f"数据集中有 {facts[name]} {chinese}，已略去。",
        )
        for name, one, many, chinese in oddities
        if facts.get(name)
    ]
    if unknown is not None and unknown.count:
        found.append(
            say(
                f"{unknown.count} of {counted(unknown.judged, 'judged document is', 'judged documents are')} not in the live index; "
                "questions that they answer score 0.",
                f"{unknown.judged} 篇已标注文档中有 {unknown.count} 篇不在使用中的索引里；答案在其中的问题不可能得分。",
            )
        )
    return found


def delta_rows(comparison: Comparison, texts: Mapping[str, str], say: Say) -> list[Row]:
    """Return the difference of each question, the largest gain first."""
    names = {1: say("better", "变好"), 0: say("same", "不变"), -1: say("worse", "变差")}
    wins, losses = set(comparison.wins), set(comparison.losses)
    ordered = sorted(comparison.deltas.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        {
            "place": place,
            "query": texts.get(query_id, query_id)[:120],
            "delta": delta,
            "outcome": names[(query_id in wins) - (query_id in losses)],
        }
        for place, (query_id, delta) in enumerate(ordered, start=1)
    ]


def latency_rows(runs: Sequence[NamedRun], measure: str) -> list[Row]:
    """Return quality and time of each run, for a chart; a missing interval has no width."""
    rows = []
    for run in runs:
        mean = run.mean(measure)
        low, high = (mean.value if end is None else end for end in (mean.low, mean.high))
        rows.append({"run": run.label, "ms": run.milliseconds, "value": mean.value, "low": low, "high": high})
    return rows


def depth_rows(runs: Sequence[NamedRun], questions: Questions) -> list[Row]:
    """Return recall at several depths of each run, for a chart."""
    return [
        {"run": run.label, "k": point.k, "recall": point.recall}
        for run in runs
        for point in quality_by_depth(run.saved.run, questions.qrels, DEPTHS)
    ]


def judged_documents(qrels: Qrels) -> set[str]:
    """Return the ids of all judged documents."""
    return {doc_id for row in qrels.values() for doc_id in row}


def offered_routes(*, dense: bool, rerank: bool, late: bool = False) -> tuple[str, ...]:
    """Return the search methods that an index offers.

    BM25 alone without vectors, reranked ones with a reranker; late interaction, which needs none, reranks hybrid search.
    """
    first = ROUTES if dense else ("bm25",)
    reranked = first if rerank else tuple(name for name in first if late and name == "hybrid")
    return (*first, *(f"{name}{RERANKED}" for name in reranked))
