"""Choices whose options have names in the interface's language: what was chosen stays when the language changes."""

from collections.abc import Collection
from typing import Any

import streamlit as st

from quarry.app.ui.shared.session import Session


def choice(session: Session, name: str, options: Collection[Any], first: Any = None) -> dict[str, Any]:
    """Return the arguments of such a widget that keep what is chosen, in the session's state under a name.

    The browser knows an option by its name, so one widget in two languages loses its value: each language has its own.

    Args:
        session: Of the visitor.
        name: Of the choice, the same in both languages; the key of no widget. What is set there is chosen.
        options: What is offered now.
        first: What is chosen at first; None for nothing.
    """
    key, before = f"{name}.{session.language}", st.session_state.get(name, first)
    st.session_state[key] = before if before in options else first
    return {"key": key, "on_change": _keep, "args": (name, key)}


def _keep(name: str, key: str) -> None:
    st.session_state[name] = st.session_state[key]
