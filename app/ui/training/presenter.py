"""What the training section shows: examples in the log, progress, models, drift. It draws nothing.

Runs, with verdicts and curves: `runs`.
"""

from collections.abc import Sequence

from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.jobs import Progress
from quarry.app.ui.shared.shown_text import Row, Say, counted, safe, told
from quarry.app.ui.training.job import MeasuredDrift, TrainingState
from quarry.app.ui.training.words import seconds_words, stage_words
from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import RerankerFacts
from quarry.training.examples.from_feedback import Curated
from quarry.training.examples.reasons import Counts
from quarry.training.tuning.data import LEAST
from quarry.training.tuning.history import Step, of_one_run
from quarry.training.tuning.steps import What, step_of


def evidence_words(curated: Curated, say: Say) -> list[str]:
    """Return how many examples the log gives now, and whether that is enough."""
    count = len(curated.examples)
    weak = sum(example.origin == "clicks" for example in curated.examples)
    words = [
        say(
            f"The feedback log ({counted(curated.events, 'event', 'events')}) gives {counted(count, 'example', 'examples')} now, "
            f"{weak:,} of them from clicks alone.",
            f"反馈日志有 {curated.events:,} 个事件，现可得到 {count:,} 个样本，其中 {weak:,} 个仅来自点击。",
        )
    ]
    if count < LEAST:
        words.append(too_few_words(count, say))
    if curated.merged:
        words.append(
            say(
                f"{counted(len(curated.merged), 'group', 'groups')} of similar questions: each group counts as one question.",
                f"{len(curated.merged)} 组相近的问题各按一个计。",
            )
        )
    return words


def too_few_words(count: int, say: Say) -> str:
    """Return that there are not enough examples, and what to do."""
    return say(
        f"{counted(count, 'example', 'examples')} so far; at least {LEAST} are needed. Judge more results, or add other sources below.",
        f"目前有 {count} 个样本，至少需要 {LEAST} 个：请标注更多结果，或在下方加入其他来源。",
    )


def count_rows(counts: Counts, say: Say) -> list[Row]:
    """Return counts by reason, the largest first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
    return [{say("What", "内容"): told(name, say), say("Count", "数量"): count} for name, count in ordered]


def stages_behind(state: TrainingState, say: Say) -> list[str]:
    """Return the finished stages of a run, oldest first."""
    return [stage_words(message, say) for message in state.stages[:-1]]


def progress_words(progress: Progress, state: TrainingState | None, say: Say) -> list[str]:
    """Return the progress of a running job: the stage, then training figures, then the time."""
    stages = state.stages if state else ()
    words = [
        _step_words(state.what, stages, say)
        if state and stages
        else say("Loading libraries and the model", "正在载入程序库和模型")
    ]
    step = state.step if state else None
    if step is not None:
        parts = [say(f"training step {step.step} of {step.steps}", f"训练到第 {step.step} 步，共 {step.steps} 步")]
        parts += [say(f"loss {step.loss:.3f}", f"损失 {step.loss:.3f}")] if step.loss is not None else []
        if state and state.dev is not None:
            parts.append(say(f"dev nDCG@10 {state.dev:.3f}", f"开发集 nDCG@10 {state.dev:.3f}"))
        if step.seconds_left is not None:
            left = seconds_words(step.seconds_left, say)
            parts.append(say(f"about {left} of training left", f"训练约 {left}后结束"))
        words.append(say(", ", "，").join(parts))
    elif progress.total:
        words.append(f"{progress.done:,} / {progress.total:,}")
    elif progress.done:
        words.append(f"{progress.done:,}")
    passed = seconds_words(progress.seconds, say)
    return [*words, say(f"{passed} elapsed", f"已用 {passed}")]


def _step_words(what: What, stages: Sequence[Message], say: Say) -> str:
    """Return the newest stage, after the step that it belongs to: "Step 3 of 7: training on 82 examples"."""
    words = stage_words(stages[-1], say)
    step = next((found for stage in reversed(stages) if (found := step_of(what, stage))), None)
    if step is None:
        return words
    return say(f"Step {step[0]} of {step[1]}: {words}", f"第 {step[0]} 步，共 {step[1]} 步：{words}")


def history_rows(steps: Sequence[Step], say: Say, clock: Clock) -> list[Row]:
    """Return the models of an index, newest first; rerankers only where one was tuned."""
    reranked = any(step.reranker for step in steps)
    return [
        {
            say("Generation", "版本"): step.generation,
            say("Since", "始于"): clock.moment(step.at),
            say("Model", "模型"): safe(f"{step.model} {step.revision[:12]}".strip()) or "-",
            **(
                {say("Tuned reranker", "微调的重排模型"): safe(step.reranker.model) if step.reranker else "-"}
                if reranked
                else {}
            ),
            say("Reason", "原因"): told(step.reason, say),
            say("Run", "运行"): safe(step.run) or "-",
            say("State", "状态"): say("live", "使用中")
            if step.live
            else ""
            if step.kept
            else say("generation removed", "版本已删除"),
        }
        for step in reversed(steps)
    ]


def verdict_words(live: Step, say: Say) -> str:
    """Return the verdict of the newest promotion that is live; empty when nothing was promoted here."""
    newest = live.newest
    if newest is None:
        return ""
    verdict = told(newest.verdict, say)
    return say(f"Verdict of run {safe(newest.run)}: {verdict}", f"运行 {safe(newest.run)} 的结论：{verdict}")


def rollback_words(live: Step, say: Say) -> list[str]:
    """Return what a rollback does; empty when the live model was not promoted here."""
    newest = live.newest
    if live.query_shift is not None and newest is live.query_shift and of_one_run(newest, live.second_stage):
        return _search_back(live.query_shift, say)
    if newest is not None and newest is live.query_shift:
        return _query_shift_back(live.query_shift, say)
    if newest is not None and newest is live.second_stage:
        return _second_stage_back(live.second_stage, say)
    if isinstance(newest, RerankerFacts):
        return _reranker_back(newest, say)
    if live.lineage is None:
        return []
    base = live.lineage.base.to_spec()
    model = safe(f"{base.model} {base.revision[:12]}")
    return [
        say(
            f"{model} replaces the model of generation {live.generation} (run {safe(live.lineage.run)}) again.",
            f"版本 {live.generation} 的模型（运行 {safe(live.lineage.run)}）停用，恢复使用 {model}。",
        ),
        say(
            "Documents indexed since then stay and are encoded with that model first. The tuned model is kept.",
            "此后加入的文档都保留，新文档会先用该模型编码。微调后的模型仍然保留。",
        ),
    ]


def _reranker_back(facts: RerankerFacts, say: Say) -> list[str]:
    before = safe(facts.before.model) if facts.before else ""
    return [
        say(
            f"The reranker {safe(facts.model)} (run {safe(facts.run)}) is switched off; "
            + (f"{before} is used again." if before else "this index then has no reranker of its own."),
            f"重排模型 {safe(facts.model)}（运行 {safe(facts.run)}）停用，"
            + (f"恢复使用 {before}。" if before else "此后该索引没有自己的重排模型。"),
        ),
        say("Documents, vectors and the model stay as they are.", "文档、向量和检索模型保持不变。"),
    ]


def _second_stage_back(facts: RerankerFacts, say: Say) -> list[str]:
    return [
        say(
            f"The tuned second stage (run {safe(facts.run)}) is switched off; "
            + ("the one tuned before it is used again." if facts.before else "the plain one is used again."),
            f"微调的第二阶段（运行 {safe(facts.run)}）停用，"
            + ("恢复使用此前微调的第二阶段。" if facts.before else "恢复使用未微调的第二阶段。"),
        ),
        say("Documents, vectors and the model stay as they are.", "文档、向量和检索模型保持不变。"),
    ]


def _query_shift_back(facts: RerankerFacts, say: Say) -> list[str]:
    return [
        say(
            f"What judgements taught about questions (run {safe(facts.run)}) is switched off; "
            + (
                "what was learned before it is used again."
                if facts.before
                else "questions are searched for as they are."
            ),
            f"从标注中学到的问题偏移（运行 {safe(facts.run)}）停用，"
            + ("恢复使用此前学到的偏移。" if facts.before else "此后按问题原样检索。"),
        ),
        say("Documents, vectors and the model stay as they are.", "文档、向量和检索模型保持不变。"),
    ]


def _search_back(facts: RerankerFacts, say: Say) -> list[str]:
    run = safe(facts.run)
    return [
        say(
            f"What run {run} taught the search (questions and second stage) is switched off; search is again as it was before it.",
            f"运行 {run} 对检索的调整（问题与第二阶段）停用，恢复到此前的检索方式。",
        ),
        say("Documents, vectors and the model stay as they are.", "文档、向量和检索模型保持不变。"),
    ]


def drift_words(found: MeasuredDrift, say: Say) -> list[str]:
    """Return how much the results of the logged questions changed."""
    seen = found.drift
    words = [
        say(
            f"Generations {found.before} and {found.after} on the newest {counted(seen.queries, 'question', 'questions')} of the log:",
            f"版本 {found.before} 与版本 {found.after}，日志中最新的 {seen.queries} 个问题：",
        ),
        say(
            f"on average {seen.overlap:.0%} of the first ten documents are the same; {seen.same_first:.0%} of the questions have the "
            "same first document.",
            f"前十篇文档平均有 {seen.overlap:.0%} 相同；{seen.same_first:.0%} 的问题首篇文档相同。",
        ),
    ]
    if seen.judged is not None:
        judged = told(seen.judged.message(), say)
        words.append(
            say(
                f"On questions that users judged: {judged} They were judged on the older results, which favors the older model.",
                f"在用户标注过的问题上：{judged} 这些标注是对先前的结果作出的，因此偏向先前的模型。",
            )
        )
    if found.other_documents:
        words.append(
            say(
                "Documents were indexed in between, which explains part of the difference.",
                "两代之间索引过文档，部分差异由此而来。",
            )
        )
    return words


def drift_rows(found: MeasuredDrift, say: Say) -> list[Row]:
    """Return the questions whose results changed most."""
    return [
        {say("Question", "问题"): safe(text), say("Same of the first ten", "前十篇中相同的"): f"{overlap:.0%}"}
        for text, overlap in found.drift.moved
    ]
