"""What the section of training says: golden words and rows of small logs, histories and drifts, in both languages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.jobs import Progress
from quarry.app.ui.training import presenter as shown
from quarry.app.ui.training.job import MeasuredDrift, TrainingState
from quarry.app.ui.training.words import seconds_words, stage_words
from quarry.app.words import words as in_language
from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import EmbedderFacts, Lineage, RerankerFacts
from quarry.retriever.evaluation.compare import compare
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.ranking import Query
from quarry.training.examples import reasons
from quarry.training.examples.from_feedback import ONE_PERSON, curate
from quarry.training.feedback.events import FeedbackEvent, StoredEvent
from quarry.training.fit.loop.progress import TrainProgress
from quarry.training.tuning.drift import Drift
from quarry.training.tuning.history import Step
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import POISON
from tests.fakes import WordEmbedder

DAY = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def step(generation, *, lineage=None, **changes):
    known = {
        "at": "2026-11-20T09:30:00+00:00",
        "reason": Message.of("build.built", "built"),
        "model": "acme/m",
        "revision": "0123456789abcdef",
    }
    return Step(generation, **{**known, "lineage": lineage, "live": False, "kept": True, **changes})


LINEAGE = Lineage(
    parent="000001",
    base=EmbedderFacts.of(WordEmbedder().spec, "words"),
    run="first",
    verdict=Message.of("tuning.promote", "Promote"),
    forced=False,
    promoted="2026-11-20T09:30:00+00:00",
    calibration={},
)


def test_evidence_says_how_many_and_what_is_missing():
    events = [
        StoredEvent(
            number,
            FeedbackEvent(f"question {word}", "answer", "anne", "1", "c#0-1", "c", at=DAY + timedelta(hours=number)),
        )
        for number, word in enumerate(("alpha", "beta", "gamma"), start=1)
    ]
    strict, alone = (curate(events, {"c#0-1": "text"}.get, *rules) for rules in ((), (ONE_PERSON,)))
    assert shown.evidence_words(alone, english) == [
        "The feedback log (3 events) gives 3 examples now, 0 of them from clicks alone.",
        "3 examples so far; at least 10 are needed. Judge more results, or add other sources below.",
    ]
    assert shown.evidence_words(strict, chinese)[0] == "反馈日志有 3 个事件，现可得到 0 个样本，其中 0 个仅来自点击。"
    assert shown.count_rows(strict.dropped, chinese) == [{"内容": "少于 2 人的标注", "数量": 3}]
    assert shown.count_rows({Message.plain("a"): 1, reasons.DISPUTED: 4}, english) == [
        {"What": "disputed judgements", "Count": 4},
        {"What": "a", "Count": 1},
    ]


def test_stages_are_shown_in_the_language_of_the_page():
    mining = Message.of("tuning.mining", "mining negatives for {count:example|examples}", count=1600)
    assert stage_words(mining, english) == "mining negatives for 1,600 examples"
    assert stage_words(mining, chinese) == "为 1,600 个样本挖掘负例"
    waiting = Message.of("tuning.waiting", "waiting: {why}", why=Message.plain("/i is being written"))
    assert stage_words(waiting, chinese) == "等待：/i is being written"


def test_times():
    assert [seconds_words(s, english) for s in (-1, 59.4, 61, 3725)] == ["0 s", "59 s", "1 min 01 s", "1 h 02 min"]
    assert seconds_words(3725, chinese) == "1 小时 02 分"


def test_progress_of_training_of_counting_and_of_the_start():
    training = Message.of("tuning.training", "training on {count:example|examples}", count=80)
    state = TrainingState("r", (training,), TrainProgress(12, 90, 0.13, 0.4123, None, 250.0), 0.7312)
    at = Progress(12, 90, "training on 80 examples", 75.0)
    assert shown.progress_words(at, state, english) == [
        "Step 3 of 7: training on 80 examples",
        "training step 12 of 90, loss 0.412, dev nDCG@10 0.731, about 4 min 10 s of training left",
        "1 min 15 s elapsed",
    ]
    assert (
        shown.progress_words(at, state, chinese)[1]
        == "训练到第 12 步，共 90 步，损失 0.412，开发集 nDCG@10 0.731，训练约 4 分 10 秒后结束"
    )
    noticed = replace(state, stages=(training, Message.of("tuning.note", "a notice within the step")), what="reranker")
    assert shown.progress_words(at, noticed, chinese)[0] == "第 3 步，共 5 步：a notice within the step"
    mining = Progress(1200, 5000, "mining negatives for 5000 examples", 3.0)
    assert shown.progress_words(mining, TrainingState("r"), english)[1] == "1,200 / 5,000"
    assert shown.progress_words(Progress(0, 0, "", 1.0), None, chinese) == ["正在载入程序库和模型", "已用 1 秒"]
    found = Message.of("tuning.from_feedback", "{count:example|examples} from the feedback log", count=160)
    told = TrainingState("r", (found, training))
    assert shown.stages_behind(told, chinese) == ["反馈日志中有 160 个样本"]
    assert shown.stages_behind(TrainingState("r"), english) == []


def test_the_history_and_the_way_back():
    steps = [
        step("000001", kept=False, model="", revision=""),
        step("000002", reason=Message.of("tuning.promoted", "promoted"), lineage=LINEAGE, live=True),
    ]
    assert shown.history_rows(steps, english, Clock(UTC)) == [
        {
            "Generation": "000002",
            "Since": "2026-11-20 09:30",
            "Model": "acme/m 0123456789ab",
            "Reason": "promoted",
            "Run": "first",
            "State": "live",
        },
        {
            "Generation": "000001",
            "Since": "2026-11-20 09:30",
            "Model": "-",
            "Reason": "built",
            "Run": "-",
            "State": "generation removed",
        },
    ]
    assert shown.rollback_words(steps[0], english) == []
    base = LINEAGE.base.to_spec()
    assert shown.rollback_words(steps[1], english)[0] == (
        f"{base.model} {base.revision[:12]} replaces the model of generation 000002 (run first) again."
    )
    assert "停用，恢复使用" in shown.rollback_words(steps[1], chinese)[0]
    assert shown.verdict_words(steps[0], english) == ""
    assert shown.verdict_words(steps[1], english) == "Verdict of run first: Promote"
    assert shown.verdict_words(steps[1], chinese) == "运行 first 的结论：可以上线"


def test_a_tuned_reranker_is_shown_and_is_taken_back_first():
    facts = RerankerFacts(
        model="acme/m+tuned-1",
        digest="d" * 40,
        folder="models/two",
        base="acme/m",
        parent="000002",
        run="two",
        verdict="better",
        forced=False,
        promoted="2999-01-01T00:00:00+00:00",
    )
    steps = [
        step("000001", kept=True),
        step(
            "000003",
            reason=Message.of("tuning.reranker_promoted", "promoted the reranker"),
            lineage=LINEAGE,
            live=True,
            reranker=facts,
        ),
    ]
    newest, oldest = shown.history_rows(steps, chinese, Clock(UTC))
    assert (newest["微调的重排模型"], newest["运行"], newest["原因"]) == ("acme/m+tuned-1", "two", "重排模型上线")
    assert (oldest["微调的重排模型"], oldest["运行"]) == ("-", "-")
    assert shown.rollback_words(steps[1], english)[0] == (
        "The reranker acme/m+tuned-1 (run two) is switched off; this index then has no reranker of its own."
    )
    before = replace(
        steps[1], reranker=facts.model_copy(update={"before": facts.model_copy(update={"model": "older"})})
    )
    assert "恢复使用 older" in shown.rollback_words(before, chinese)[0]


def test_drift_in_words():
    measure, qrels = Measure("nDCG", 10), {f"q{n}": {"a": 1} for n in range(3)}
    runs = [{name: [(doc, 1.0)] for name in qrels} for doc in ("b", "a")]
    judged = compare(
        *(evaluate(run, qrels, [measure], queries=[Query(name, name) for name in qrels]) for run in runs), str(measure)
    )
    seen = Drift(40, 0.8425, 0.7, (("怎么续借？", 0.1), (POISON, 0.25)), judged)
    found = MeasuredDrift("000001", "000002", True, seen)
    words = shown.drift_words(found, english)
    assert words[0] == "Generations 000001 and 000002 on the newest 40 questions of the log:"
    assert words[1].startswith("on average 84% of the first ten documents are the same; 70% of the questions")
    assert str(judged.message()) in words[2]
    assert words[3] == "Documents were indexed in between, which explains part of the difference."
    assert in_language(judged.message(), "zh") in shown.drift_words(found, chinese)[2]
    assert len(shown.drift_words(MeasuredDrift("1", "2", False, Drift(1, 1.0, 1.0, (), None)), chinese)) == 2
    assert shown.drift_rows(found, english)[0] == {"Question": "怎么续借？", "Same of the first ten": "10%"}
