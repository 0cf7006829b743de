"""Why a result has its rank, in rows and HTML: ranks and scores by stage, what raised its similarity, which words met.

No Streamlit and no files. Texts of documents leave it as inert HTML only.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from quarry.app.ui.search.presenter import stage_name
from quarry.app.ui.shared.shown_text import Say, inert, told
from quarry.retriever.ranking import StageScore
from quarry.retriever.rerankers.alignment import Meeting
from quarry.retriever.results import Answer, Result

# Okabe and Ito's blues: told apart from the page with every kind of color vision, and every bar has its number beside it.
STYLE = """<style>
.q-met { list-style: none; margin: .3rem 0 .6rem !important; padding: 0 !important; display: grid; gap: .15rem 1.4rem;
  grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
.q-met li { display: grid; grid-template-columns: minmax(0, 1fr) 1rem minmax(0, 1fr) 4.2rem 2.6rem; align-items: center;
  column-gap: .35rem; margin: 0 !important; padding: .1rem 0 !important; font-size: .9rem; overflow-wrap: anywhere; }
.q-met-sign { text-align: center; opacity: .72; }
.q-met-bar { height: .55rem; border-radius: .3rem; background: light-dark(#dbe4ea, #36424a); overflow: hidden; }
.q-met-bar span { display: block; height: 100%; background: light-dark(#0072b2, #56b4e9); }
.q-met-number { text-align: right; font-variant-numeric: tabular-nums; }
</style>"""
_STAGES = ("dense", "bm25", "fusion", "late", "rerank")


def movement(answer: Answer, chosen: str, say: Say) -> list[dict[str, Any]]:
    """Return the chart's rows: the rank of every shown passage in every stage that ranked it.

    Each has `stage` (its name), `order` (from 0), `rank`, `passage` (its final rank, as text) and `chosen`.
    """
    return [
        {
            "stage": stage_name(stage, say),
            "order": _STAGES.index(stage),
            "rank": seen.rank,
            "passage": str(result.rank),
            "chosen": result.chunk_id == chosen,
        }
        for result in answer.results
        for stage, seen in _seen(result)
    ]


def _seen(result: Result) -> Iterator[tuple[str, StageScore]]:
    for stage in _STAGES:
        score: StageScore | None = getattr(result.evidence, stage)
        if score is not None:
            yield stage, score


def score_rows(answer: Answer, result: Result, say: Say) -> list[dict[str, str]]:
    """Return rank, score and score range of a result in each stage that ranked anything; dashes where it was not ranked."""
    scales = {
        "dense": say("up to 1", "最大 1"),
        "bm25": say("0 and up", "0 以上"),
        "fusion": say("0 to 1", "0 到 1"),
        "late": say("any", "不限"),
        "rerank": say("any", "不限"),
    }
    took_part = {stage for one in (result, *answer.results) for stage, _ in _seen(one)}
    rows = []
    for stage in (stage for stage in _STAGES if stage in took_part):
        seen: StageScore | None = getattr(result.evidence, stage)
        rows.append(
            {
                say("Stage", "阶段"): stage_name(stage, say),
                say("Rank", "名次"): str(seen.rank) if seen else "–",
                say("Score", "得分"): f"{seen.score:.4f}" if seen else "–",
                say("Scale", "取值"): scales[stage],
            }
        )
    return rows


def similarity_rows(result: Result, say: Say) -> list[dict[str, str]]:
    """Return what the similarity of meaning is made of; empty when it is the passage's alone.

    Language and title are what was added because the passage is in another language than the question, and because its
    title or heading is nearer to the question than its text.
    """
    evidence = result.evidence
    if evidence.dense is None or not (evidence.raised or evidence.named):
        return []
    own = evidence.dense.score - evidence.raised - evidence.named
    parts = [(say("of the passage itself", "段落本身"), f"{own:.4f}")]
    if evidence.raised:
        parts.append(
            (say("for its language, which is not the question's", "语言与问题不同，补偿"), f"+{evidence.raised:.4f}")
        )
    if evidence.named:
        parts.append(
            (say("for its title or heading, which is nearer", "标题更接近问题，补偿"), f"+{evidence.named:.4f}")
        )
    parts.append((say("together", "合计"), f"{evidence.dense.score:.4f}"))
    return [{say("Similarity of meaning", "语义相似度"): name, say("Score", "得分"): value} for name, value in parts]


def notes_html(answer: Answer, say: Say) -> str:
    """Return what the stages after the searches say of this question: how they weighed and raised, why they left an order."""
    notes = [
        f"<div class='q-place'>{stage_name(report.stage, say)}{say(': ', '：')}{inert(told(report.reason, say))}</div>"
        for report in answer.stages
        if report.stage in ("fusion", "late", "rerank") and report.status == "ran" and report.reason is not None
    ]
    return "".join(notes)


def terms_html(result: Result, say: Say) -> str:
    """Return the query's words that were found, strongest first, in the passage's spelling where it has them.

    Below them stands what was found letter by letter, and that the question names the passage's file.
    """
    evidence = result.evidence
    written = [result.text[start:end] for start, end in result.highlights]
    words = " ".join(f"<mark>{inert(_as_written(term, written))}</mark>" for term in evidence.terms)
    found = say("Words found, strongest first: ", "找到的词（由强到弱）：") + words
    lines = [found if words else say("None of the words was found.", "没有找到查询中的词。")]
    if evidence.exact:
        exact = " ".join(f"<mark>{inert(one)}</mark>" for one in evidence.exact)
        lines.append(say("Found letter by letter: ", "逐字相同：") + exact)
    if evidence.file:
        lines.append(say("The question names this file: ", "问题提到了这个文件：") + inert(evidence.file))
    return "".join(f"<div class='q-place'>{line}</div>" for line in lines)


def _as_written(term: str, written: Sequence[str]) -> str:
    """Terms are stems such as `addit`; show the passage's own word that begins like one."""
    start = term[: max(3, len(term) - 1)]
    return next((word for word in written if word.casefold().startswith(start)), term)


def meetings_html(meetings: Sequence[Meeting], say: Say) -> str:
    """Return a list of the question's words, each with its nearest word of the passage, a bar and a number; empty for none.

    Words that are the same have `=` between them, others an arrow, so that nothing is said by color alone.
    """
    if not meetings:
        return ""
    head = say(
        "Each word of the question and the nearest word of the passage, as the second stage compared them "
        "(= is the same word; 1 is as near as can be):",
        "问题中的每个词，以及段落中与它最接近的词（第二阶段的比较结果；= 表示同一个词，1 为最接近）：",
    )
    items = "".join(_meeting(one) for one in meetings)
    return f"<div class='q-place'>{head}</div><ul class='q-met'>{items}</ul>"


def _meeting(one: Meeting) -> str:
    sign = "=" if one.query.casefold() == one.passage.casefold() else "→"
    width = round(100 * min(1.0, max(0.0, one.cosine)))
    return (
        f"<li><b>{inert(one.query)}</b><span class='q-met-sign'>{sign}</span><span>{inert(one.passage)}</span>"
        f"<span class='q-met-bar' aria-hidden='true'><span style='width:{width}%'></span></span>"
        f"<span class='q-met-number'>{one.cosine:.2f}</span></li>"
    )
