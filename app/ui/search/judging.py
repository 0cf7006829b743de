"""Taking down what a visitor says about a result: stored at once, confirmed only when it is on disk."""

from dataclasses import dataclass
from hashlib import sha256

import streamlit as st

from quarry.app.ui.search.presenter import shown_hits
from quarry.app.ui.shared.session import Session
from quarry.app.ui.shared.shown_text import plain, told
from quarry.indexer.errors import FeedbackError
from quarry.retriever.results import Answer, Result
from quarry.training.feedback.events import MAX_NOTE_CHARS, Action, FeedbackEvent

_UP = 1  # st.feedback("thumbs"): 0 is down, 1 up, None taken back


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: one result of one answer, or the whole answer when `result` is None."""

    session: Session
    answer: Answer
    result: Result | None = None

    @property
    def key(self) -> str:
        """The same for the same query, generation and passage: widgets and confirmations hang on it."""
        passage = self.result.chunk_id if self.result else ""
        parts = (self.answer.generation, self.answer.query.text, passage)
        return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:20]


def thumb_key(subject: Subject) -> str:
    """Return the key of a result's thumbs."""
    return f"thumb-{subject.key}"


def note_key(subject: Subject) -> str:
    """Return the key of the text field for a note."""
    return f"note-{subject.key}"


def is_answer(subject: Subject) -> bool:
    """Whether this visitor has called the result the answer."""
    return bool(st.session_state.get(f"answer-{subject.key}"))


def thumb(subject: Subject) -> None:
    """Store what the thumbs show now: up, down, or taken back."""
    value = st.session_state.get(thumb_key(subject))
    st.session_state[f"answer-{subject.key}"] = False
    say = subject.session.say
    if value is None:
        _store(subject, "withdraw", say("Taken back.", "已撤回。"))
    elif value == _UP:
        _store(subject, "thumb_up", say("Stored: helpful.", "已保存：有用。"))
    else:
        _store(subject, "thumb_down", say("Stored: not helpful.", "已保存：没有用。"))


def mark_answer(subject: Subject) -> None:
    """Store that the result is the answer, or take that back when it was called so already."""
    say, state, was = subject.session.say, st.session_state, is_answer(subject)
    done = say("Taken back.", "已撤回。") if was else say("Stored: this is the answer.", "已保存：这就是答案。")
    if _store(subject, "withdraw" if was else "answer", done):
        state[f"answer-{subject.key}"] = not was
        state[thumb_key(subject)] = None if was else _UP


def note(subject: Subject) -> None:
    """Store the text of the note field, and empty it when that went well."""
    text = str(st.session_state.get(note_key(subject), "")).strip()
    say = subject.session.say
    if not text:
        _confirm(subject, say("The note is empty.", "备注是空的。"), stored=False)
    elif _store(subject, "note", say("Note stored.", "备注已保存。"), text=text[:MAX_NOTE_CHARS]):
        st.session_state[note_key(subject)] = ""


def opened(subject: Subject) -> None:
    """Store that the result was opened; this judges nothing."""
    _store(subject, "click", "")


def confirmation(subject: Subject) -> None:
    """Draw what became of the last thing said about the subject."""
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
    except FeedbackError as err:
        reason = plain(told(err, subject.session.say))
        _confirm(subject, subject.session.say(f"Not stored: {reason}", f"没有保存：{reason}"), stored=False)
        return False
    _confirm(subject, done, stored=True)
    return True


def _confirm(subject: Subject, text: str, *, stored: bool) -> None:
    st.session_state[f"said-{subject.key}"] = (text, stored)
