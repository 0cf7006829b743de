"""The password of the app: compared in constant time, with a longer wait after every wrong try."""

import hmac
import os
import threading
import time
from collections.abc import Callable

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from quarry.app.ui.gate import PASSWORD_VARIABLE, unlock

FREE_TRIES = 3
LONGEST_WAIT = 60.0  # seconds
_REMEMBERED = 10_000  # addresses; the oldest are dropped, to bound memory


class Gate:
    """Counts wrong tries per address. From the third on, each one doubles the wait before the next."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Return the seconds until the address may try again; 0 when it may now."""
        with self._lock:
            return max(0.0, self._failures.get(address, (0, 0.0))[1] - time.monotonic())

    def opens(self, address: str, password: str) -> bool:
        """Whether the password is right; always False while the address has to wait."""
        if self.wait(address):
            return False
        right = hmac.compare_digest(password.encode("utf-8", "replace"), self._password)
        with self._lock:
            count = self._failures.pop(address, (0, 0.0))[0] + 1
            if not right:
                wait = 0.0 if count < FREE_TRIES else min(LONGEST_WAIT, 2.0 ** (count - FREE_TRIES))
                self._failures[address] = (count, time.monotonic() + wait)
                if len(self._failures) > _REMEMBERED:
                    self._failures.pop(next(iter(self._failures)))
        return right


@st.cache_resource(show_spinner=False)
def _gate(password: str) -> Gate:
    return Gate(password)


def ask_password(say: Callable[[str, str], str]) -> None:
    """Draw the password form and stop the page until the right one was given; nothing where none is set.

    Args:
        say: Chooses between an English and a Chinese text.
    """
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if not password or st.session_state.get("unlocked"):
        return
    gate, address = _gate(password), st.context.ip_address or "this machine"
    with st.form("password", width=420):
        st.subheader("Quarry")
        given = st.text_input(
            say("Password", "密码"),
            type="password",
            autocomplete="current-password",
            help=say("It was printed where the app was started.", "启动应用的终端里显示过这个密码。"),
        )
        sent = st.form_submit_button(say("Open", "进入"), type="primary")
    if sent and gate.opens(address, given):
        st.session_state.unlocked = True
        if (context := get_script_run_ctx()) is not None:
            unlock(context.session_id)
        st.rerun()
    if wait := gate.wait(address):
        seconds = int(wait) + 1
        st.error(say(f"Not accepted. Try again in {seconds} s.", f"密码不对，请在 {seconds} 秒后重试。"))
    elif sent:
        st.error(say("This is not the password.", "密码不对。"))
    st.stop()
