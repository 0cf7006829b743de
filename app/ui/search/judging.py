"""Stores a visitor's judgement of a result at once, and confirms it once it is on disk."""

from dataclasses import dataclass
from hashlib import sha256

import streamlit as st

from quarry.app.ui.search.presenter import shown_hits
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import plain, told
from quarry.indexer.errors import FeedbackError
from quarry.retriever.results import Answer, Result
from quarry.training.feedback.events import MAX_NOTE_CHARS, Action, FeedbackEvent
from quarry.training.feedback.judgements import query_key

_UP = 1  # st.feedback("thumbs"): 0 is down, 1 up, None withdrawn


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: one result, or the whole answer when `result` is None."""

    session: Session
    answer: Answer
    result: Result | None = None

    @property
    def key(self) -> str:
        """The key of widgets and confirmations: the same for the same index, generation, query and passage."""
        passage = self.result.chunk_id if self.result else ""
        parts = (str(self.session.index), self.answer.generation, self.answer.query.text, passage)
        return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:20]


def thumb_key(subject: Subject) -> str:
    """Return the key of a result's thumbs."""
    return f"thumb-{subject.key}"


def note_key(subject: Subject) -> str:
    """Return the key of the text field for a note."""
    return f"note-{subject.key}"


def is_answer(subject: Subject) -> bool:
    """Whether this visitor marked the result as the answer."""
    return bool(st.session_state.get(f"answer-{subject.key}"))


def show_earlier(subject: Subject) -> None:
    """Show what this visitor said of the result before the page was loaded; a later word of theirs replaces it."""
    if subject.result is None or thumb_key(subject) in st.session_state:
        return
    earlier = _earlier(subject.session)
    action = earlier.get((query_key(subject.answer.query.text), subject.result.chunk_id))
    if action in ("answer", "thumb_up", "thumb_down"):
        st.session_state[thumb_key(subject)] = 0 if action == "thumb_down" else _UP
        st.session_state[f"answer-{subject.key}"] = action == "answer"


def _earlier(session: Session) -> dict[tuple[str, str], Action]:
    """The visitor's last judgement of each question and passage of an index; the log is read once per browser session."""
    every: dict[str, dict[tuple[str, str], Action]] = st.session_state.setdefault("earlier", {})
    name = str(session.index)
    if name not in every:
        earlier = every[name] = {}
        try:
            for stored in session.feedback().events():
                if stored.event.session == session.visitor:
                    _keep(earlier, stored.event)
        except FeedbackError as err:
            st.warning(plain(told(err, session.say)))
    return every[name]


def _keep(earlier: dict[tuple[str, str], Action], event: FeedbackEvent) -> None:
    if event.action in ("answer", "thumb_up", "thumb_down", "withdraw"):
        earlier[(query_key(event.query), event.chunk_id)] = event.action


def thumb(subject: Subject) -> None:
    """Store the state of the thumbs: up, down, or withdrawn."""
    value = st.session_state.get(thumb_key(subject))
    st.session_state[f"answer-{subject.key}"] = False
    say = subject.session.say
    if value is None:
        _store(subject, "withdraw", say("Withdrawn.", "已撤回。"))
    elif value == _UP:
        _store(subject, "thumb_up", say("Saved: relevant.", "已保存：相关。"))
    else:
        _store(subject, "thumb_down", say("Saved: not relevant.", "已保存：不相关。"))


def mark_answer(subject: Subject) -> None:
    """Store that the result is the answer, or withdraw that on a second click."""
    say, state, was = subject.session.say, st.session_state, is_answer(subject)
    done = say("Withdrawn.", "已撤回。") if was else say("Saved: this is the answer.", "已保存：这就是答案。")
    if _store(subject, "withdraw" if was else "answer", done):
        state[f"answer-{subject.key}"] = not was
        state[thumb_key(subject)] = None if was else _UP


def note(subject: Subject) -> None:
    """Store the text of the note field, and empty the field on success."""
    text = str(st.session_state.get(note_key(subject), "")).strip()
    say = subject.session.say
    if not text:
        _confirm(subject, say("The note is empty.", "备注是空的。"), stored=False)
    elif _store(subject, "note", say("Note saved.", "备注已保存。"), text=text[:MAX_NOTE_CHARS]):
        st.session_state[note_key(subject)] = ""


def pass_on(subject: Subject) -> None:
    """Draw the button that puts a question without an answer among the open questions of the Feedback page."""
    say = subject.session.say
    if st.session_state.get(f"passed-{subject.key}"):
        confirmation(subject)
        return
    st.button(
        say("Ask for an answer", "请人解答"),
        key=f"pass-{subject.key}",
        icon=":material/forward_to_inbox:",
        help=say(
            "Puts the question among the open questions of the page “Feedback and training”, where somebody can write the answer.",
            "把这个问题列入“反馈与训练”页的待解答问题，由他人写下答案。",
        ),
        on_click=_pass_on,
        args=(subject,),
    )


def _pass_on(subject: Subject) -> None:
    say = subject.session.say
    done = say("It stands among the open questions now.", "已列入待解答的问题。")
    said = say("The documents do not answer this.", "文档里没有答案。")
    st.session_state[f"passed-{subject.key}"] = _store(subject, "note", done, text=said)


def opened(subject: Subject) -> None:
    """Store that the result was opened, which is not a judgement."""
    _store(subject, "click", "")


def confirmation(subject: Subject) -> None:
    """Draw the outcome of the last judgement of the subject."""
    text, stored = st.session_state.get(f"said-{subject.key}", ("", True))
    if text and stored:
        st.caption(f":material/check: {text}")
    elif text:
        st.error(text)


def _store(subject: Subject, action: Action, done: str, *, text: str = "") -> bool:
    answer, result = subject.answer, subject.result
    try:
        event = FeedbackEvent(
            query=answer.query.text,
            action=action,
            session=subject.session.visitor,
            generation=answer.generation,
            chunk_id=result.chunk_id if result else "",
            doc_id=result.doc_id if result else "",
            note=text,
            shown=shown_hits(answer),
        )
        subject.session.feedback().append(event)
        _keep(_earlier(subject.session), event)
    except FeedbackError as err:
        reason = plain(told(err, subject.session.say))
        _confirm(subject, subject.session.say(f"Not saved: {reason}", f"没有保存：{reason}"), stored=False)
        return False
    _confirm(subject, done, stored=True)
    return True


def _confirm(subject: Subject, text: str, *, stored: bool) -> None:
    st.session_state[f"said-{subject.key}"] = (text, stored)
