"""What the page of evaluations shows, as rows of plain text and numbers, out of saved evaluations. It draws nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.app.ui.shared.shown_text import Row, Say
from quarry.indexer.errors import CorpusError
from quarry.retriever.data.datasets import UnknownDocuments
from quarry.retriever.data.trec import Qrels
from quarry.retriever.diagnosis.sweeps import quality_by_depth
from quarry.retriever.evaluation.compare import Comparison, Verdict, compare_many
from quarry.retriever.evaluation.evaluate import Mean
from quarry.retriever.evaluation.routes import RERANKED, ROUTES
from quarry.retriever.evaluation.saved import Questions, SavedEvaluation, list_evaluations, load_evaluation
from quarry.retriever.evaluation.slices import compare_slices, slices

DEPTHS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
VERDICTS: Mapping[Verdict, str] = {
    "better": "更好",
    "worse": "更差",
    "no difference shown": "未显示出差异",
    "too few queries": "查询太少",
}
_TIMES = "_ms"  # ends the names of the facts that are milliseconds per query


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A saved evaluation with the label it has on the page; labels of runs shown together differ."""

    label: str
    saved: SavedEvaluation

    def mean(self, measure: str) -> Mean:
        """Mean and interval of one measure."""
        return self.saved.evaluation.means[measure]

    @property
    def milliseconds(self) -> float:
        """Mean time per query, all stages together."""
        facts = self.saved.meta.more
        return sum(float(value) for name, value in facts.items() if name.endswith(_TIMES))


def route_name(saved: SavedEvaluation) -> str:
    """Return the route as it was asked for: `hybrid+rerank`."""
    return saved.meta.route + (RERANKED if saved.meta.rerank != "none" else "")


def read_saved(
    folder: Path, read: Callable[[Path], SavedEvaluation] = load_evaluation
) -> tuple[dict[str, str], dict[str, str]]:
    """List the saved evaluations, newest first.

    Args:
        folder: Of saved evaluations; it may be missing.
        read: Reads one; give a function that remembers, because evaluations never change.

    Returns:
        Name to label of those that can be opened, and name to reason of those that cannot.
    """
    found: list[tuple[str, str, str]] = []  # time, name, label
    faults: dict[str, str] = {}
    for path in list_evaluations(folder):
        try:
            saved = read(path)
        except CorpusError as err:
            faults[path.name] = str(err)
        else:
            found.append((saved.meta.created, path.name, long_label(saved)))
    return {name: label for _, name, label in sorted(found, reverse=True)}, faults


def long_label(saved: SavedEvaluation) -> str:
    """Return one line that tells a saved evaluation from others: time, data set, route, generation, main value."""
    meta, evaluation = saved.meta, saved.evaluation
    main = evaluation.measures[0]
    when = meta.created[:16].replace("T", " ")
    return f"{when}  {meta.dataset}/{meta.split}  {route_name(saved)}  {meta.generation}  {main} {evaluation.means[main].value:.4f}"


def named_runs(saved: Sequence[SavedEvaluation]) -> tuple[NamedRun, ...]:
    """Give each run the shortest label that tells it from the others: route, then generation, then time, then number."""
    forms: list[Callable[[int, SavedEvaluation], str]] = [
        lambda _, one: route_name(one),
        lambda _, one: f"{route_name(one)} {one.meta.generation}",
        lambda _, one: f"{route_name(one)} {one.meta.generation} {one.meta.created[:19].replace('T', ' ')}",
    ]
    for form in forms:
        labels = [form(place, one) for place, one in enumerate(saved)]
        if len(set(labels)) == len(labels):
            return tuple(map(NamedRun, labels, saved))
    return tuple(NamedRun(f"{place}. {route_name(one)}", one) for place, one in enumerate(saved, start=1))


def why_not_comparable(runs: Sequence[NamedRun], say: Say) -> str:
    """Return why runs must not stand side by side; empty when they may."""
    first = runs[0].saved
    for run in runs[1:]:
        other = run.saved
        if (first.meta.dataset_digest, first.evaluation.qrels_digest) != (
            other.meta.dataset_digest,
            other.evaluation.qrels_digest,
        ):
            ours, theirs = (f"{m.dataset}/{m.split} ({m.dataset_digest[:8]})" for m in (first.meta, other.meta))
            return say(
                f"{runs[0].label} was measured on {ours} and {run.label} on {theirs}: other questions or other judgements, so "
                "their figures say nothing about each other. Choose runs of one data set.",
                f"{runs[0].label} 的数据集是 {ours}，而 {run.label} 的是 {theirs}：问题或判定不同，数值之间没有可比性。"
                "请选择同一数据集的评测。",
            )
    if not shared_measures(runs):
        return say("These runs have no measure in common.", "这些评测没有共同的指标。")
    return ""


def shared_measures(runs: Sequence[NamedRun]) -> tuple[str, ...]:
    """Return the measures of quality that all runs have, in the order of the first."""
    first, *others = (run.saved.evaluation.measures for run in runs)
    shared = (name for name in first if all(name in other for other in others))
    return tuple(name for name in shared if not name.startswith("Judged@"))


def table_rows(runs: Sequence[NamedRun], say: Say) -> list[Row]:
    """Return the table of means: every measure with its 95 % interval, ceiling, time, judged share."""
    measures = shared_measures(runs)
    return [
        {
            say("Route", "路线"): run.label,
            **{name: _with_interval(run.mean(name)) for name in measures},
            say("Ceiling", "上限"): f"{float(run.saved.meta.more.get('ceiling', 0)):.4f}",
            say("ms per query", "毫秒/查询"): f"{run.milliseconds:.1f}",
            say("judged@10", "已判定@10"): f"{run.saved.evaluation.judged:.0%}",
            say("Queries", "查询数"): str(run.mean(measures[0]).count),
            say("Unanswered", "无结果"): str(len(run.saved.evaluation.unanswered)),
            say("Generation", "代"): run.saved.meta.generation,
            say("Model", "模型"): run.saved.meta.model.partition(" ")[0] or "-",
        }
        for run in runs
    ]


def _with_interval(mean: Mean) -> str:
    if mean.low is None or mean.high is None:
        return f"{mean.value:.4f}"
    return f"{mean.value:.4f} ({mean.low:.2f}-{mean.high:.2f})"


def comparisons(runs: Sequence[NamedRun], measure: str) -> dict[str, Comparison]:
    """Compare every further run with the first one.

    Raises:
        CorpusError: If they are of other judgements.
        ValueError: If one lacks the measure.
    """
    others = {run.label: run.saved.evaluation for run in runs[1:]}
    return compare_many(runs[0].saved.evaluation, others, measure)


def remarks(
    runs: Sequence[NamedRun], questions: Questions | None, unknown: UnknownDocuments | None, say: Say
) -> list[str]:
    """Return what a reader of the figures must know, one plain sentence each."""
    found = []
    for run in runs:
        degraded = str(run.saved.meta.more.get("degraded", ""))
        if degraded:
            found.append(say(f"{run.label} was degraded: {degraded}", f"{run.label} 有降级：{degraded}"))
    excluded = runs[0].saved.evaluation.excluded
    if excluded:
        found.append(say(f"{len(excluded)} questions without a relevant document are in no mean.",
                         f"{len(excluded)} 个问题没有相关文档，未计入平均值。"))  # fmt: skip
    if questions is None:
        found.append(
            say("This evaluation kept no questions: figures only, no texts, slices and recall curve.",
                "该评测没有保存问题：只有数值，没有文本、分组和召回曲线。")
        )  # fmt: skip
    oddities = (
        ("unjudged", "queries of the data set have no judgements", "个查询没有判定"),
        ("without_query", "judged queries of the data set have no text", "个已判定的查询没有文本"),
        ("repeated", "judgements of the data set are said twice", "条判定重复"),
    )
    facts = runs[0].saved.meta.more
    found += [
        say(f"{facts[name]} {english}; left out.", f"数据集中有 {facts[name]} {chinese}，已略去。")
        for name, english, chinese in oddities
        if facts.get(name)
    ]
    if unknown is not None and unknown.count:
        found.append(
            say(f"{unknown.count} of {unknown.judged} judged documents are not in the live index; questions whose answers are "
                "among them cannot win.",
                f"{unknown.judged} 篇已判定文档中有 {unknown.count} 篇不在使用中的索引里；答案在其中的问题不可能得分。")
        )  # fmt: skip
    return found


def delta_rows(comparison: Comparison, texts: Mapping[str, str], say: Say) -> list[Row]:
    """Return the differences per query, the largest gain first."""
    names = {1: say("better", "更好"), 0: say("same", "相同"), -1: say("worse", "更差")}
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
    """Return quality and time of each run, for a chart; runs without an interval have it of no width."""
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


def slice_verdicts(runs: Sequence[NamedRun], questions: Questions, by: str, measure: str, say: Say) -> list[Row]:
    """Return, for two runs, what can be said of each slice, with p values corrected for the number of slices.

    Raises:
        CorpusError: If they are of other judgements.
    """
    before, after = (run.saved.evaluation for run in runs)
    compared = compare_slices(before, after, measure, by, questions.queries, questions.metadata)
    return [
        {
            say("Slice", "分组"): name,
            say("Verdict", "结论"): say(one.verdict, VERDICTS[one.verdict]),
            runs[0].label: f"{one.before:.4f}",
            runs[1].label: f"{one.after:.4f}",
            say("Difference", "差值"): f"{one.difference:+.4f} ({one.low:+.2f} {say('to', '至')} {one.high:+.2f})",
            say("p, corrected", "校正后 p"): f"{one.p_adjusted:.4f}",
            say("Queries", "查询数"): str(one.count),
        }
        for name, one in compared.items()
    ]


def slice_properties(questions: Questions) -> tuple[str, ...]:
    """Return by what the queries of a data set can be cut: language, length and the metadata with few values."""
    values: dict[str, set[str]] = {}
    for fields in questions.metadata.values():
        for name, value in fields.items():
            values.setdefault(name, set()).add(value)
    few = sorted(name for name, found in values.items() if 1 < len(found) <= 12 and name not in ("language", "length"))
    return ("language", "length", *few)


def slice_rows(runs: Sequence[NamedRun], questions: Questions, by: str, measure: str) -> list[Row]:
    """Return mean and interval of each slice of each run, for a chart."""
    rows = []
    for run in runs:
        for part in slices(run.saved.evaluation, questions.queries, by, metadata=questions.metadata):
            mean = part.means[measure]
            low, high = (mean.value if end is None else end for end in (mean.low, mean.high))
            rows.append(
                {
                    "run": run.label,
                    "slice": f"{part.name} ({mean.count})",
                    "value": mean.value,
                    "low": low,
                    "high": high,
                }
            )
    return rows


def judged_documents(qrels: Qrels) -> set[str]:
    """Return the ids of all judged documents."""
    return {doc_id for row in qrels.values() for doc_id in row}


def offered_routes(*, dense: bool, rerank: bool) -> tuple[str, ...]:
    """Return the routes that an index can be measured by: without vectors BM25 alone, reranked ones with a reranker."""
    first = ROUTES if dense else ("bm25",)
    return (*first, *(f"{name}{RERANKED}" for name in first)) if rerank else first
