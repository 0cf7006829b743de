"""Draws one saved evaluation or compares several: table, verdicts, charts, single questions. The presenter computes."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import streamlit as st

from quarry.app.ui.evaluate import charts, groups, queries
from quarry.app.ui.evaluate import presenter as shown
from quarry.app.ui.evaluate.presenter import NamedRun
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import safe
from quarry.app.words import words
from quarry.indexer.errors import SearchError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.stores.parts import texts_at
from quarry.retriever.data.datasets import unknown_documents
from quarry.retriever.evaluation.compare import Comparison
from quarry.retriever.evaluation.language_pairs import LANGUAGE_PAIR
from quarry.retriever.evaluation.saved import Questions, SavedEvaluation, load_evaluation


@st.cache_resource(max_entries=200, show_spinner=False)
def remembered(folder: Path) -> SavedEvaluation:
    """Read a saved evaluation, once: they never change."""
    return load_evaluation(folder)


@st.cache_resource(
    max_entries=16,
    show_spinner=False,
    hash_funcs={NamedRun: lambda run: f"{run.label} {run.saved.meta.created} {run.saved.meta.dataset_digest}"},
)
def _compared(runs: tuple[NamedRun, ...], measure: str) -> dict[str, Comparison]:
    return shown.comparisons(runs, measure)


def show_runs(session: Session, runs: Sequence[NamedRun]) -> None:
    """Draw the runs; the first is the baseline."""
    say = session.say
    reason = shown.why_not_comparable(runs, say)
    if reason:
        st.error(say("These runs cannot be compared.", "这些评测不能比较。"), icon=":material/error:")
        st.text(reason)
        return
    asked = runs[0].saved.questions
    titles = _titles(session, asked, runs)
    st.dataframe(shown.table_rows(runs, say), hide_index=True)
    st.text(safe(shown.shared_words(runs, say)))
    unknown = unknown_documents(asked.qrels, titles) if asked and titles else None
    for sentence in shown.remarks(runs, asked, unknown, say):
        st.text(f"• {sentence}")
    heading, choice = st.columns([1, 2], vertical_alignment="bottom")
    heading.subheader(say("Verdict", "结论") if len(runs) > 1 else say("Details", "详情"), anchor=False)
    measures = shown.shared_measures(runs)
    chosen = choice.segmented_control(say("Metric", "指标"), measures, default=measures[0], key="evaluate.measure")
    measure = str(chosen or measures[0])
    compared = _compared(tuple(runs), measure) if len(runs) > 1 else {}
    if compared:
        _verdicts(session, runs[0].label, compared)
    _details(session, runs, titles, measure, compared)
    _explained(session)


def _explained(session: Session) -> None:
    say = session.say
    with st.expander(say("What the columns mean", "各列的含义")):
        st.text(
            say(
                "Values lie between 0 and 1; in brackets the 95 % interval of the mean over questions.\n"
                "Ceiling: what perfect reranking of the first stage's candidates would reach in the main metric.\n"
                "judged@10: share of the first ten documents that have a judgement; when it is low, good answers may count "
                "as wrong.\n"
                "Unanswered: questions without a result; they count as 0.",
                "数值在 0 和 1 之间；括号内是按问题平均的 95% 区间。\n"
                "上限：若对第一阶段的候选作完美重排，主要指标能达到的值。\n"
                "已标注@10：前十篇文档中有标注的比例；过低时，好的答案可能被当作错误。\n"
                "无结果：没有任何结果的问题，按 0 计。",
            )
        )


def _verdicts(session: Session, baseline: str, compared: Mapping[str, Comparison]) -> None:
    say = session.say
    marks = {"better": "▲", "worse": "▼", "no difference shown": "=", "too few queries": "?"}
    with st.container(border=True, gap="small"):
        for label, comparison in compared.items():
            against = say(f"{label} against {baseline}", f"{label} 对比 {baseline}")
            st.text(f"{marks[comparison.verdict]}  {against}\n{words(comparison.message(), session.language)}")


def _details(
    session: Session,
    runs: Sequence[NamedRun],
    titles: Mapping[str, str],
    measure: str,
    compared: Mapping[str, Comparison],
) -> None:
    say, asked = session.say, runs[0].saved.questions
    texts = {query.query_id: safe(query.text) for query in asked.queries} if asked else {}
    names = [say("Questions", "问题"), say("Quality and time", "质量与耗时")]
    names += [say("Gains and losses", "提升与下降")] if compared else []
    names += [say("Recall", "召回"), say("Groups", "分组")] if asked else []
    tabs = dict(zip(names, st.tabs(names), strict=True))
    with tabs[names[0]]:
        _queries(session, runs, titles, measure)
    with tabs[names[1]]:
        st.altair_chart(charts.latency_chart(shown.latency_rows(runs, measure), measure, say))
    if compared:
        with tabs[say("Gains and losses", "提升与下降")]:
            label = _one_of(say("Against the baseline", "与基线比较"), list(compared), "evaluate.against")
            st.altair_chart(charts.delta_chart(shown.delta_rows(compared[label], texts, say), measure, say))
    if asked is None:
        return
    with tabs[say("Recall", "召回")]:
        st.altair_chart(charts.depth_chart(shown.depth_rows(runs, asked), say))
    with tabs[say("Groups", "分组")]:
        _slices(session, runs, asked, measure)


def _slices(session: Session, runs: Sequence[NamedRun], asked: Questions, measure: str) -> None:
    say = session.say
    own = {
        "language": say("language of the question", "问题的语言"),
        LANGUAGE_PAIR: say("language of question → of document", "问题的语言 → 文档的语言"),
        "length": say("length in words", "长度（词/字）"),
    }
    by = _one_of(
        say("Group by", "分组依据"), list(groups.slice_properties(asked)), f"evaluate.slice.{session.language}", own
    )
    st.altair_chart(charts.slice_chart(groups.slice_rows(runs, asked, by, measure), measure, say))
    for other in runs[1:]:
        st.dataframe(groups.slice_verdicts((runs[0], other), asked, by, measure, say), hide_index=True)


def _queries(session: Session, runs: Sequence[NamedRun], titles: Mapping[str, str], measure: str) -> None:
    say, asked = session.say, runs[0].saved.questions
    pair, order = [runs[0]], "lowest"
    if len(runs) > 1:
        by_label = {run.label: run for run in runs[1:]}
        left, right = st.columns(2)
        with left:
            other = _one_of(say("Side by side with the baseline", "与基线并排"), list(by_label), "evaluate.other")
        orders = {
            "losses": say("largest losses", "下降最多"),
            "wins": say("largest gains", "提升最多"),
            "lowest": say("lowest value", "数值最低"),
        }
        with right:
            order = _one_of(say("Order", "排序"), list(orders), f"evaluate.order.{session.language}", orders)
        pair.append(by_label[other])
    texts = {query.query_id: safe(query.text) for query in asked.queries} if asked else {}
    rows = queries.query_rows(pair, measure, texts, order, say)
    st.dataframe(rows, hide_index=True, height=280, column_config={"id": say("Id", "标识")})
    ids = [str(row["id"]) for row in rows]
    named = {query_id: f"{query_id}  {texts.get(query_id, '')}"[:120] for query_id in ids}
    key = f"evaluate.query {order} {[run.label for run in pair]}"  # another list begins with its first question
    query_id = _one_of(say("Results of one question", "查看某个问题的结果"), ids, key, named)
    st.text(texts.get(query_id, query_id))
    grades = asked.qrels.get(query_id, {}) if asked else {}
    narrow = {
        say("Relevant", "相关"): st.column_config.TextColumn(width=70),
        say("Document", "文档"): st.column_config.TextColumn(width=140),
        say("Id", "标识"): st.column_config.TextColumn(width=140),
    }
    for column, run in zip(st.columns(len(pair)), pair, strict=True):
        with column:
            st.text(f"{run.label}   {measure} {run.saved.evaluation.values(measure)[query_id]:.4f}")
            rows_of_run = queries.result_rows(run, query_id, grades, titles, say)
            st.dataframe(rows_of_run, hide_index=True, column_config=narrow if len(pair) > 1 else None)
    if grades:
        st.text(say("Ranks of the relevant documents:", "相关文档的名次："))
        st.dataframe(queries.missed_rows(pair, query_id, grades, titles, say), hide_index=True)


def _one_of(label: str, options: Sequence[str], key: str, names: Mapping[str, str] | None = None) -> str:
    """A menu with exactly one option chosen, at first the first."""
    chosen = st.selectbox(label, options, key=key, format_func=lambda option: (names or {}).get(option, option))
    return chosen if chosen in options else options[0]


def _titles(session: Session, asked: Questions | None, runs: Sequence[NamedRun]) -> dict[str, str]:
    """Titles of the judged and found documents in the live generation; empty when it cannot be read."""
    wanted = shown.judged_documents(asked.qrels) if asked else set()
    wanted |= {doc_id for run in runs for found in run.saved.run.values() for doc_id, _ in found[:10]}
    try:
        with closing(texts_at(Generations(session.index).live())) as table:
            return {doc_id: safe(title) for doc_id, title in table.titles(sorted(wanted)).items()}
    except SearchError:
        return {}
