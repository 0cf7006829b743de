"""What the Feedback page shows: rows of plain text, from the events of a log. It draws nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.shown_text import Row, Say, counted, safe
from quarry.training.feedback.events import EDITOR, StoredEvent
from quarry.training.feedback.judgements import FeedbackSummary, Judgement, query_key

MOST_SHOWN = 500  # newest rows of a list; exports hold all
_SESSION_CHARS = 8
_ACTIONS = {
    "thumb_up": ("good", "有用"),
    "thumb_down": ("not relevant", "不相关"),
    "answer": ("marked as the answer", "标为答案"),
    "note": ("note", "留言"),
    "click": ("opened", "打开"),
    "withdraw": ("taken back", "撤回"),
}
_LANGUAGES = {
    "zh": ("Chinese", "中文"),
    "en": ("English", "英文"),
    "mixed": ("mixed", "混合"),
    "other": ("other", "其他"),
}


@dataclass(frozen=True, slots=True)
class FeedbackFilter:
    """Which events to show.

    Attributes:
        language: Language of the question; empty for all.
        since: The earliest time, with a time zone; None for all.
    """

    language: str = ""
    since: datetime | None = None

    def of(self, events: Iterable[StoredEvent]) -> tuple[StoredEvent, ...]:
        """Return the events that match, in their order."""
        return tuple(
            stored
            for stored in events
            if (not self.language or stored.event.language == self.language)
            and (self.since is None or stored.event.at >= self.since)
        )


def action_colors(say: Say) -> tuple[list[str], list[str]]:
    """Return the names of the actions and their colors, in the same order."""
    colors = {
        "answer": "#1b7f4d",
        "thumb_up": "#7cc79a",
        "thumb_down": "#d9694f",
        "note": "#5b7db1",
        "click": "#b9c4d0",
    }
    colors["withdraw"] = "#9e9e9e"
    return [say(*_ACTIONS[action]) for action in colors], list(colors.values())


def language_name(language: str, say: Say) -> str:
    """Return the name of a question's language."""
    return say(*_LANGUAGES.get(language, (language, language)))


def visitor_name(session: str, say: Say) -> str:
    """Return the shortened anonymous id of a visitor; whoever writes answers has a name."""
    return say("editor", "编辑") if session == EDITOR else safe(session[:_SESSION_CHARS])


def headline(summary: FeedbackSummary, say: Say) -> list[tuple[str, str]]:
    """Return the figures above the lists, each with its label."""
    agreement = "-" if summary.agreement is None else f"{summary.agreement:.0%}"
    return [
        (say("Events", "事件"), f"{summary.events:,}"),
        (say("Judged questions", "已标注的问题"), f"{summary.judged_queries:,}"),
        (say("Visitors", "访客"), f"{len(summary.by_session.keys() - {EDITOR}):,}"),
        (say("Agreement", "一致率"), agreement),
        (say("Open questions", "待解答的问题"), f"{len(summary.unanswered):,}"),
    ]


def agreement_words(summary: FeedbackSummary, say: Say) -> str:
    """Return how the agreement was computed."""
    if summary.agreement is None:
        return say(
            "Agreement: no two visitors have judged the same question and document yet.",
            "一致率：还没有两位访客标注过同一问题的同一文档。",
        )
    return say(
        f"Agreement: of {counted(summary.compared, 'pair', 'pairs')} of visitors that judged the same question and document, "
        f"{summary.agreement:.0%} agree on its relevance; {counted(len(summary.disputed), 'question is', 'questions are')} disputed.",
        f"一致率：{summary.compared} 对访客标注了同一问题的同一文档，其中 {summary.agreement:.0%} 的意见相同；"
        f"{len(summary.disputed)} 处有争议。",
    )


def day_rows(events: Sequence[StoredEvent], say: Say, clock: Clock) -> list[Row]:
    """Return events per day of the reader and action, for a chart."""
    counts = Counter((clock.local(stored.event.at).date().isoformat(), stored.event.action) for stored in events)
    return [
        {"day": day, "action": say(*_ACTIONS[action]), "count": count}
        for (day, action), count in sorted(counts.items())
    ]


def event_rows(events: Sequence[StoredEvent], titles: Mapping[str, str], say: Say, clock: Clock) -> list[Row]:
    """Return the log, newest first."""
    return [
        {
            say("When", "时间"): clock.minute(stored.event.at),
            say("Visitor", "访客"): visitor_name(stored.event.session, say),
            say("Judgement", "标注"): say(*_ACTIONS[stored.event.action]),
            say("Question", "问题"): safe(stored.event.query),
            say("Document", "文档"): safe(titles.get(stored.event.doc_id) or stored.event.doc_id),
            say("Note", "留言"): safe(stored.event.note),
            say("Language", "语言"): language_name(stored.event.language, say),
            say("Generation", "版本"): stored.event.generation,
        }
        for stored in list(reversed(events))[:MOST_SHOWN]
    ]


def judgement_rows(judged: Sequence[Judgement], titles: Mapping[str, str], say: Say, clock: Clock) -> list[Row]:
    """Return the judgements in force, newest first."""
    newest = sorted(judged, key=lambda one: one.at, reverse=True)
    return [
        {
            say("Question", "问题"): safe(one.query),
            say("Grade", "等级"): _grade(one.grade, say),
            say("Document", "文档"): safe(titles.get(one.doc_id) or one.doc_id),
            say("Passage", "段落"): safe(one.chunk_id) or say("(whole document)", "（整篇文档）"),
            say("Visitors", "访客"): str(one.sessions),
            say("Last", "最近"): clock.minute(one.at),
        }
        for one in newest[:MOST_SHOWN]
    ]


def _grade(grade: int, say: Say) -> str:
    return f"{grade} {say('relevant', '相关') if grade > 0 else say('not relevant', '不相关')}"


def visitor_rows(events: Sequence[StoredEvent], say: Say, clock: Clock) -> list[Row]:
    """Return the counts of each visitor, the most active first; ids are anonymous and shortened."""
    by_session: dict[str, list[StoredEvent]] = {}
    for stored in events:
        by_session.setdefault(stored.event.session, []).append(stored)
    ordered = sorted(by_session.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [
        {
            say("Visitor", "访客"): visitor_name(session, say),
            say("Events", "事件"): len(found),
            say("Judgements", "标注"): sum(stored.event.grade is not None for stored in found),
            say("Questions", "问题"): len({query_key(stored.event.query) for stored in found}),
            say("First", "最早"): clock.minute(min(stored.event.at for stored in found)),
            say("Last", "最近"): clock.minute(max(stored.event.at for stored in found)),
        }
        for session, found in ordered[:MOST_SHOWN]
    ]


def disputed_rows(
    summary: FeedbackSummary, events: Sequence[StoredEvent], titles: Mapping[str, str], say: Say
) -> list[Row]:
    """Return the questions and documents that as many visitors approve as reject."""
    visitors: dict[tuple[str, str], set[str]] = {}
    for stored in events:
        if stored.event.grade is not None:
            visitors.setdefault((query_key(stored.event.query), stored.event.doc_id), set()).add(stored.event.session)
    return [
        {
            say("Question", "问题"): safe(query),
            say("Document", "文档"): safe(titles.get(doc_id) or doc_id),
            say("Visitors", "访客"): ", ".join(
                sorted(visitor_name(one, say) for one in visitors.get((query_key(query), doc_id), ()))
            ),
        }
        for query, doc_id in summary.disputed[:MOST_SHOWN]
    ]


def note_rows(events: Sequence[StoredEvent], say: Say, clock: Clock) -> list[Row]:
    """Return the free texts, newest first."""
    noted = [stored.event for stored in reversed(events) if stored.event.note]
    return [
        {
            say("When", "时间"): clock.minute(event.at),
            say("Question", "问题"): safe(event.query),
            say("Note", "留言"): safe(event.note),
            say("Visitor", "访客"): visitor_name(event.session, say),
        }
        for event in noted[:MOST_SHOWN]
    ]
