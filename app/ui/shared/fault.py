"""How every page says that something went wrong: a headline, and what the error says, to be read or sent to somebody."""

import streamlit as st

from quarry.app.ui.shared.shown_text import Say, told
from quarry.indexer.messages import Message


def show_fault(headline: str, reason: Message | Exception, say: Say) -> None:
    """Draw the headline, and the reason in the interface's language as text that can be copied."""
    st.error(headline, icon=":material/error:")
    st.code(told(reason, say), language=None, wrap_lines=True)
