"""What the section of training shows: examples in the log, runs, curves, models, drift. Knows nothing of Streamlit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from app.ui.jobs import Progress
from app.ui.shown_text import safe
from app.ui.training_job import MeasuredDrift, TrainingState
from app.ui.training_words import Say, reason_words, seconds_words, stage_words, switch_words
from indexer.manifest import RerankerFacts
from training.curation import Curated
from training.promotion import Step, newest_promotion
from training.run_folder import RunFolder
from training.tuning_data import LEAST
from training.tuning_run import TuningRun, tuning_runs

Row: TypeAlias = dict[str, Any]
RunState = Literal["running", "promoted", "forced", "refused", "kept", "unfinished", "damaged"]

MOST_POINTS = 400  # of a curve; more are not seen
MOST_RUNS = 100
MOST_REPORT = 60_000  # characters of a mining report
_STATES = {
    "running": ("running", "运行中"),
    "promoted": ("promoted", "已上线"),
    "forced": ("promoted against the verdict", "不顾结论而上线"),
    "refused": ("refused", "被拒绝"),
    "kept": ("may be promoted, was not", "可以上线，但未上线"),
    "unfinished": ("not finished", "未完成"),
    "damaged": ("report cannot be read", "报告无法读取"),
}


@dataclass(frozen=True, slots=True)
class RunView:
    """One run of the loop, as far as it came.

    Attributes:
        name: Of its folder.
        begun: When it was begun or last gone on with.
        state: How it ended.
        facts: The plan that it was begun with; empty when that cannot be read.
        words: The verdict by language; empty before the end.
        held_out: Difference of the means, low and high end of its 95 % interval, p; None before the end.
        general: Difference on the general set; None before the end.
        dev: nDCG@10 on the dev queries before and after; None where unknown.
        counts: Examples and what was left out.
    """

    name: str
    begun: datetime
    state: RunState
    facts: Mapping[str, Any]
    words: Mapping[str, str]
    held_out: tuple[float, float, float, float] | None
    general: float | None
    dev: tuple[float | None, float | None]
    counts: Mapping[str, int]


def evidence_words(curated: Curated, say: Say) -> list[str]:
    """Return how many examples the log would give now, and whether that is enough."""
    count = len(curated.examples)
    weak = sum(example.origin == "clicks" for example in curated.examples)
    words = [say(f"The feedback log of {curated.events:,} events gives {count:,} examples now, {weak:,} of them from clicks alone.",
                 f"反馈日志有 {curated.events:,} 个事件，现在可得 {count:,} 个样本，其中 {weak:,} 个仅来自点击。")]  # fmt: skip
    if count < LEAST:
        words.append(say(f"At least {LEAST} are needed: judge more answers, or add other sources below.",
                         f"至少需要 {LEAST} 个：请判定更多结果，或在下方加入其他来源。"))  # fmt: skip
    if curated.merged:
        words.append(say(f"{len(curated.merged)} groups of questions that read alike count as one each.",
                         f"{len(curated.merged)} 组相近的问题各按一个计。"))  # fmt: skip
    return words


def count_rows(counts: Mapping[str, int], say: Say) -> list[Row]:
    """Return counts by reason, the largest first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{say("What", "内容"): reason_words(name, say), say("Count", "数量"): count} for name, count in ordered]


def progress_words(progress: Progress, state: TrainingState | None, say: Say) -> list[str]:
    """Return what a running job is at: the stage, then figures of training, then the time."""
    words = [stage_words(progress.doing, say) or say("Loading the model", "载入模型")]
    step = state.step if state else None
    if step is not None:
        parts = [say(f"step {step.step} of {step.steps}", f"第 {step.step} 步，共 {step.steps} 步")]
        parts += [say(f"loss {step.loss:.3f}", f"损失 {step.loss:.3f}")] if step.loss is not None else []
        if state and state.dev is not None:
            parts.append(say(f"dev nDCG@10 {state.dev:.3f}", f"开发集 nDCG@10 {state.dev:.3f}"))
        if step.seconds_left is not None:
            left = seconds_words(step.seconds_left, say)
            parts.append(say(f"training ends in about {left}", f"训练约 {left}后结束"))
        words.append(say(", ", "，").join(parts))
    elif progress.total:
        words.append(f"{progress.done:,} / {progress.total:,}")
    elif progress.done:
        words.append(f"{progress.done:,}")
    passed = seconds_words(progress.seconds, say)
    return [*words, say(f"{passed} since the start", f"已用 {passed}")]


def run_views(index: Path, running: str = "") -> list[RunView]:
    """Return the newest runs of an index, newest first.

    Args:
        index: The index folder.
        running: Name of the run that the app is at.
    """
    return [_view(run, running) for run in reversed(tuning_runs(index)[-MOST_RUNS:])]


def _view(run: TuningRun, running: str) -> RunView:
    plan = run.folder / "plan.json"
    begun = datetime.fromtimestamp(plan.stat().st_mtime, UTC)
    try:
        facts = dict(json.loads(plan.read_text(encoding="utf-8")))
        if run.name == running:
            return RunView(run.name, begun, "running", facts, {}, None, None, (None, None), {})
        report = run.report()
        if report is None:
            return RunView(run.name, begun, "unfinished", facts, {}, None, None, (None, None), {})
        verdict = report["verdict"]
        held = verdict["held_out"]
        before, after = report["dev"]
        return RunView(
            name=run.name,
            begun=begun,
            state=_state(report),
            facts=facts,
            words={language: str(report["words"][language]) for language in ("en", "zh")},
            held_out=(float(held["difference"]), float(held["low"]), float(held["high"]), float(held["p"])),
            general=float(verdict["general"]["difference"]),
            dev=(before, after),
            counts={str(name): int(count) for name, count in report["examples"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # somebody's hand was in the folder
        return RunView(run.name, begun, "damaged", {}, {}, None, None, (None, None), {})


def _state(report: Mapping[str, Any]) -> RunState:
    if report["promoted"]:
        return "forced" if report["forced"] else "promoted"
    return "kept" if report["verdict"]["promote"] else "refused"


def run_rows(runs: Sequence[RunView], say: Say) -> list[Row]:
    """Return one row per run."""
    return [
        {
            say("Run", "运行"): safe(run.name),
            say("Begun (UTC)", "开始 (UTC)"): f"{run.begun:%Y-%m-%d %H:%M}",
            say("Outcome", "结果"): say(*_STATES[run.state]),
            say("Held-out nDCG@10, 95 % interval", "留出查询 nDCG@10，95% 区间"): _gain(run),
            "p": f"{run.held_out[3]:.4f}" if run.held_out else "-",
            say("General set", "通用集"): "-" if run.general is None else f"{run.general:+.4f}",
            say("Dev before and after", "开发集前后"): " → ".join("-" if one is None else f"{one:.4f}" for one in run.dev),
        }
        for run in runs
    ]  # fmt: skip


def _gain(run: RunView) -> str:
    if run.held_out is None:
        return "-"
    difference, low, high, _ = run.held_out
    return f"{difference:+.4f} [{low:+.4f}, {high:+.4f}]"


def verdict_words(run: RunView, say: Say) -> str:
    """Return how a run ended, with the gate's reasons and numbers."""
    if run.words:
        return safe(say(run.words["en"], run.words["zh"]))
    if run.state == "unfinished":
        return say(
            "This run has no verdict: it was stopped, or it goes on in a terminal. What it has made is kept.",
            "该运行还没有结论：已被停止，或正在终端中进行。已完成的部分都保留着。",
        )
    return say(*_STATES[run.state])


def source_words(run: RunView, say: Say) -> str:
    """Return where the examples of a run come from."""
    kept = run.facts.get("sources")
    sources = kept if isinstance(kept, dict) else {}
    parts = [say("feedback log", "反馈日志")] if sources.get("feedback") else []
    parts += [say("documents", "文档")] if sources.get("corpus") else []
    pairs = sources.get("pairs")
    parts += [safe(Path(str(path)).name) for path in pairs] if isinstance(pairs, list) else []
    return say("Sources: ", "来源：") + (say(", ", "、").join(parts) or "-")


def curve_rows(run: TuningRun) -> tuple[list[Row], list[Row]]:
    """Return the points of the loss and of the dev score, by step; at most `MOST_POINTS` each, the last one always."""
    try:
        lines = RunFolder(run.finetune, writes=False).lines()
        return _points(lines, "loss"), _points(lines, "dev")
    except (OSError, ValueError, TypeError):
        return [], []


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> list[Row]:
    found = [
        {"step": int(line["step"]), "value": float(line[name])} for line in lines if name in line and "step" in line
    ]
    stride = -(-len(found) // MOST_POINTS) or 1
    return [point for place, point in enumerate(found) if place % stride == 0 or place == len(found) - 1]


def mining_text(run: TuningRun) -> str:
    """Return the mining report, cut when long; empty when there is none."""
    try:
        text = (run.data / "mining.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return safe(text if len(text) <= MOST_REPORT else text[:MOST_REPORT] + "\n…")


def history_rows(steps: Sequence[Step], say: Say) -> list[Row]:
    """Return the models of an index, newest first; rerankers only where one was tuned."""
    reranked = any(step.reranker for step in steps)
    return [
        {
            say("Generation", "代"): step.generation,
            say("Since (UTC)", "始于 (UTC)"): step.at[:16].replace("T", " "),
            say("Model", "模型"): safe(f"{step.model} {step.revision[:12]}".strip()) or "-",
            **({say("Tuned reranker", "微调的重排模型"): safe(step.reranker.model) if step.reranker else "-"} if reranked else {}),
            say("Why", "原因"): switch_words(step.reason, say),
            say("Run", "运行"): safe(step.run) or "-",
            say("State", "状态"): say("live", "使用中") if step.live else
                "" if step.kept else say("generation removed", "该代已删除"),
        }
        for step in reversed(steps)
    ]  # fmt: skip


def rollback_words(live: Step, say: Say) -> list[str]:
    """Return what going back means; empty when the live model was not promoted here."""
    newest = newest_promotion(live.lineage, live.reranker)
    if isinstance(newest, RerankerFacts):
        return _reranker_back(newest, say)
    if live.lineage is None:
        return []
    base = live.lineage.base.to_spec()
    model = safe(f"{base.model} {base.revision[:12]}")
    return [
        say(f"The model of generation {live.generation} (run {safe(live.lineage.run)}) stops answering; {model} answers again.",
            f"第 {live.generation} 代的模型（运行 {safe(live.lineage.run)}）停止回答，由 {model} 重新回答。"),
        say("Documents indexed since then stay; what is new is encoded with that model first. The tuned model is kept.",
            "此后加入的文档都保留，新文档会先用该模型编码。微调后的模型仍然保留。"),
    ]  # fmt: skip


def _reranker_back(facts: RerankerFacts, say: Say) -> list[str]:
    before = safe(facts.before.model) if facts.before else ""
    return [
        say(f"The reranker {safe(facts.model)} (run {safe(facts.run)}) stops ordering the answers; "
            + (f"{before} does it again." if before else "none of this index does it then."),
            f"重排模型 {safe(facts.model)}（运行 {safe(facts.run)}）停止排序，"
            + (f"由 {before} 重新排序。" if before else "此后该索引没有自己的重排模型。")),
        say("Documents, vectors and the model stay as they are.", "文档、向量和检索模型保持不变。"),
    ]  # fmt: skip


def drift_words(found: MeasuredDrift, say: Say) -> list[str]:
    """Return how differently the logged questions are answered."""
    seen = found.drift
    words = [
        say(f"Generation {found.before} against {found.after} on the newest {seen.queries} different questions of the log:",
            f"第 {found.before} 代对比第 {found.after} 代，日志中最新的 {seen.queries} 个不同的问题："),
        say(f"of the first ten documents {seen.overlap:.0%} are the same on average; {seen.same_first:.0%} of the questions have the "
            "same first document.",
            f"前十篇文档平均有 {seen.overlap:.0%} 相同；{seen.same_first:.0%} 的问题首篇文档相同。"),
    ]  # fmt: skip
    if seen.judged is not None:
        judged = seen.judged.words("zh" if say("en", "zh") == "zh" else "en")
        words.append(say(f"On questions that users judged: {judged} They were judged on the older answers, which that favours.",
                         f"在用户判定过的问题上：{judged} 这些判定是对先前的结果作出的，因此偏向先前的模型。"))  # fmt: skip
    if found.other_documents:
        words.append(say("Documents were indexed in between; part of the difference is theirs.",
                         "两代之间索引过文档，部分差异由此而来。"))  # fmt: skip
    return words


def drift_rows(found: MeasuredDrift, say: Say) -> list[Row]:
    """Return the questions whose answers moved most."""
    return [
        {say("Question", "问题"): safe(text), say("Same of the first ten", "前十篇中相同的"): f"{overlap:.0%}"}
        for text, overlap in found.drift.moved
    ]
