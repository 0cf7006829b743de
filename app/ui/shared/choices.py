"""Choices whose options have names in the interface's language: what was chosen stays when the language changes."""

from collections.abc import Collection
from typing import TypeVar

import streamlit as st

from quarry.app.ui.shared.session import Session

T = TypeVar("T")


def choice_key(session: Session, name: str, options: Collection[T], first: T) -> str:
    """Return the key of such a widget, filled with what was chosen before; `chosen` keeps what is chosen now.

    The browser knows an option by its name, so one widget in two languages loses its value: each language has its own.

    Args:
        session: Of the visitor.
        name: Of the choice, the same in both languages; the key of no widget.
        options: What is offered now.
        first: What is chosen at first.
    """
    key, state = f"{name}.{session.language}", st.session_state
    if state.get(key) not in options:
        before = state.get(name, first)
        state[key] = before if before in options else first
    return key


def chosen(name: str, value: T | None, first: T) -> T:
    """Keep and return what is chosen.

    Args:
        name: As in `choice_key`.
        value: What the widget says.
        first: What stands for nothing.
    """
    kept = first if value is None else value
    st.session_state[name] = kept
    return kept
