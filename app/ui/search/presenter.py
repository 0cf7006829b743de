"""The words and rows of the Search page: no Streamlit, no files. Document texts leave it as inert HTML only."""

import re
from collections.abc import Mapping, Sequence

from quarry.app.ui.shared.shown_text import Say, counted, excerpt, inert, marked_lines, sentence, shortened_html, told
from quarry.app.ui.shared.vocabulary import method_name
from quarry.indexer.records import BETWEEN_HEADINGS
from quarry.retriever.answers.refusals.fit import Strength
from quarry.retriever.ranking import StageReport
from quarry.retriever.results import Answer, Result
from quarry.retriever.shown.highlight import Span
from quarry.training.feedback.events import MAX_SHOWN, ShownHit

SNIPPET_CHARS = 320
_TITLE_CHARS, _SOURCE_CHARS = 120, 100  # more would push the passages off the screen
CONTEXT_CHARS = 2_000  # before and after the passage
# facts about files that nobody chooses by; time and folders have menus of their own
_NO_MENU = {
    "source",
    "modified",
    "charset",
    "damaged",
    "pages",
    "sheets",
    "left_out",
    "recognized_pages",
    "times",
    "subject",
    "answers",  # the questions of written answers
    "written",
}
_MENU_VALUES = range(2, 51)  # how many values a metadata key may have to be offered as a menu
_COPIES_NAMED = 10
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def stage_name(stage: str, say: Say) -> str:
    """Return the name of a stage: those of the first stage are called like the search methods."""
    own = {
        "fusion": say("Combined", "融合"),
        "late": say("Word by word", "逐词比较"),
        "rerank": say("Reranked", "重排"),
    }
    return own.get(stage) or method_name(stage, say)


def route_help(say: Say) -> str:
    """Return what the search methods do."""
    return say(
        "**Hybrid** searches by meaning and by words and merges the two lists; best for most questions. "
        "**Meaning** finds passages that say the same in other words, also in the other language. "
        "**Words** finds exact terms, names and numbers, and needs no model.",
        "**混合**同时按语义和关键词检索并合并结果，适合大多数问题。"
        "**语义**能找到换一种说法、甚至另一种语言的段落。"
        "**关键词**查找确切的词、名称和数字，不需要模型。",
    )


def rerank_help(say: Say) -> str:
    """Return what reranking does."""
    return say(
        "A second stage compares the best candidates with the question more closely: word by word, where the index holds "
        "token states, and with a reranking model, where one is on this machine (see `quarry models`).",
        "第二阶段会更仔细地比较问题与排在前面的候选段落：索引中有词元状态时逐词比较；"
        "本机有重排模型时（`quarry models` 可列出）再用它重排。",
    )


def filter_name(key: str, say: Say) -> str:
    """Return the name of a metadata key; unknown keys unchanged."""
    names = {
        "format": say("File type", "文件类型"),
        "lang": say("Language", "语言"),
        "charset": say("Charset", "字符编码"),
        "modified": say("Modified", "修改日期"),
        "pages": say("Pages", "页数"),
        "sheets": say("Sheets", "工作表"),
        "author": say("Author", "作者"),
        "sender": say("Sender", "发件人"),
        "from": say("From", "发件人"),
        "to": say("To", "收件人"),
        "cc": say("Cc", "抄送"),
        "date": say("Date", "日期"),
        "attachment": say("Attachment", "附件"),
        "source": say("Source", "来源"),
    }
    return names.get(key, key)


def filter_menus(values: Mapping[str, Sequence[tuple[str, int]]]) -> dict[str, dict[str, int]]:
    """Return the metadata keys that get a menu, those with 2 to 50 values, with the document count of each value."""
    return {
        key: dict(counted) for key, counted in values.items() if len(counted) in _MENU_VALUES and key not in _NO_MENU
    }


def examples(questions: Sequence[str], titles: Sequence[str]) -> list[str]:
    """Return up to four examples: questions when there are any, else distinct titles."""
    return list(questions[:4]) or list(dict.fromkeys(title for title in titles if title.strip()))[:4]


def fit_html(strength: Strength, say: Say) -> str:
    """Return how well a passage fits: one word and a bar, the number as a tooltip. It stands outside of what holds document text."""
    word = {
        "strong": say("fits well", "很符合"),
        "fair": say("may fit", "可能符合"),
        "weak": say("fits weakly", "不太符合"),
    }[strength.word]
    tip = say(
        f"strength {strength.value:.2f}: 1 is sure, on the same scale for every question",
        f"符合程度 {strength.value:.2f}：1 为确定，所有问题使用同一尺度",
    )
    return (
        f"<div class='q-fit q-{strength.word}' title='{inert(tip)}'>{word} <span class='q-bar' aria-hidden='true'>"
        f"<span style='width: {strength.value:.0%}'></span></span></div>"
    )


def result_html(result: Result) -> str:
    """Return one result: rank, title, heading, and the part that matches best."""
    heading = f"<span class='q-path'> › {shortened_html(result.heading, _TITLE_CHARS)}</span>" if _adds(result) else ""
    text, spans = _without_title(result)
    return (
        f"<div class='q-hit'><div class='q-title'><span class='q-rank'>{result.rank}</span>"
        f"<b>{shortened_html(result.title, _TITLE_CHARS)}</b>{heading}</div>"
        f"<div class='q-text'>{excerpt(text, spans, SNIPPET_CHARS)}</div></div>"
    )


def _without_title(result: Result) -> tuple[str, tuple[Span, ...]]:
    """Drop the title or heading that a passage often begins with, because it is shown above already."""
    first, _, rest = result.text.partition("\n")
    if not rest.strip() or first.lstrip("# ").strip() not in (result.title, result.heading.split(BETWEEN_HEADINGS)[-1]):
        return result.text, result.highlights
    text = rest.lstrip()
    cut = len(result.text) - len(text)
    return text, tuple((a - cut, b - cut) for a, b in result.highlights if a >= cut)


def day_of(result: Result) -> str:
    """Return the day of a result's document, ISO: its `date`, else that of its last change; empty where neither is a day."""
    days = (str(result.meta.get(key, ""))[:10] for key in ("date", "modified"))
    return next((day for day in days if _DAY.fullmatch(day)), "")


def place_html(result: Result, say: Say, *, dated: bool = False) -> str:
    """Return where a passage comes from: index, source and page, and its day if asked for; the characters are a tooltip."""
    parts = [f"<b>{inert(result.index)}</b>"] if result.index else []
    parts.append(f"<span class='q-source'>{shortened_html(result.source, _SOURCE_CHARS)}</span>")
    if dated and (day := day_of(result)):
        parts.append(day)
    if result.page:
        parts.append(say(f"page {result.page}", f"第 {result.page} 页"))
    if result.time:
        parts.append(inert(result.time))
    parts.append(
        _tooltip(say(f"characters {result.start:,}–{result.end:,}", f"第 {result.start:,}–{result.end:,} 字符"))
    )
    return f"<div class='q-place'>{' · '.join(parts)}</div>"


def copies_html(result: Result, say: Say) -> str:
    """Return where the same is said, empty for a passage without copies."""
    if not result.copies:
        return ""
    count = len(result.copies)
    named = ", ".join(inert(copy.place) for copy in result.copies[:_COPIES_NAMED])
    more = say(f" and {count - _COPIES_NAMED} more", f" 等 {count} 处") if count > _COPIES_NAMED else ""
    head = say(f"The same in {counted(count, 'copy', 'copies')}: ", f"另有 {count} 处内容相同：")
    return f"<div class='q-place'>{head}{named}{more}</div>"


def _tooltip(text: str) -> str:
    """Return a mark that shows a text when pointed at."""
    return f"<span class='q-info' title='{inert(text)}' aria-label='{inert(text)}'>ⓘ</span>"


def _adds(result: Result) -> bool:
    return bool(result.heading) and result.heading not in (result.title, result.text.split("\n")[0].lstrip("# "))


def context_html(text: str, span: Span, highlights: Sequence[Span]) -> str:
    """Return a passage in its document, with up to 2,000 characters before and after it.

    Args:
        text: The whole document.
        span: Start and end (exclusive) of the passage.
        highlights: Ranges within the passage.
    """
    start, end = span
    first, last = max(0, start - CONTEXT_CHARS), min(len(text), end + CONTEXT_CHARS)
    before, after = marked_lines(text[first:start], ()), marked_lines(text[end:last], ())
    return (
        f"<div class='q-context'>{'… ' if first else ''}{before}"
        f"<span class='q-passage'>{marked_lines(text[start:end], highlights)}</span>"
        f"{after}{' …' if last < len(text) else ''}</div>"
    )


def shown_hits(answer: Answer) -> tuple[ShownHit, ...]:
    """Return the results in the feedback log's form."""
    return tuple(
        ShownHit(result.chunk_id, result.doc_id, result.rank, float(result.score), result.stage)
        for result in answer.results[:MAX_SHOWN]
    )


def times_html(answer: Answer, say: Say, *, rerank: bool) -> str:
    """Return the line above the results: count, time and stages; generation and model are a tooltip.

    It says so when reranking was asked for and there is no reranker.
    """
    stages = " · ".join(
        f"{stage_name(report.stage, say)} {_milliseconds(report.milliseconds)}"
        for report in answer.stages
        if report.status in ("ran", "partial")
    )
    count = len(answer.results)
    head = say(f"{counted(count, 'result', 'results')} in ", f"{count} 条结果，用时 ") + _milliseconds(
        answer.milliseconds
    )
    made = say(f"generation {answer.generation}", f"索引版本 {answer.generation}")
    tail = _tooltip(" · ".join(filter(None, (made, answer.model))))
    absent = rerank and any(report.stage == "rerank" and report.status == "off" for report in answer.stages)
    hint = say(" · not reranked: no reranker on this machine", " · 未重排：本机没有重排模型") if absent else ""
    return f"<div class='q-times'><b>{head}</b> · {stages} {tail}{hint}</div>"


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def degraded_html(reports: Sequence[StageReport], say: Say) -> str:
    """Return one paragraph per stage that did not fully run: what it means, why, and what to do."""
    return "".join(
        f"<p><b>{_loss(report, say)}</b> {_remedy(report, say)}<br>"
        f"<span class='q-why'>{say('Reason: ', '原因：')}{inert(_reason(report, say))}</span></p>"
        for report in reports
        if report.degrades
    )


def _reason(report: StageReport, say: Say) -> str:
    return sentence(told(report.reason, say)) if report.reason else ""


def _loss(report: StageReport, say: Say) -> str:
    if report.status == "partial":
        return say(
            "Reranking ran out of time: the last candidates kept their earlier order.",
            "重排超时：后面的候选段落保持原来的顺序。",
        )
    if report.stage in ("late", "rerank"):
        return say("The results were not reranked.", "结果没有重排。")
    return say(
        "Search by meaning did not run: only words were matched, so other wordings and the other language may be missed.",
        "语义检索没有运行：只比较了关键词，可能漏掉换了说法或另一种语言的段落。",
    )


def _remedy(report: StageReport, say: Say) -> str:
    if report.status == "partial":
        return say("Ask for fewer results, or turn reranking off.", "可以减少结果数，或关闭重排。")
    if report.stage in ("late", "rerank"):
        return say(
            "Turn reranking off, or see <code>quarry models</code>.",
            "可以关闭重排，或查看 <code>quarry models</code>。",
        )
    return say(
        "Choose “Words (BM25)” to search without this notice; <code>quarry doctor</code> names the command that fixes it.",
        "选择“关键词（BM25）”可以不再显示此提示；<code>quarry doctor</code> 会给出修复命令。",
    )
