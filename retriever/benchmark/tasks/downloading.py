"""mteb's own download of a task's data, with an answer soon where the hub gives none.

The libraries ask a silent hub again and again for minutes. So the hub is probed first (`quarry.indexer.models.hub`), the download runs in
a thread, and it is given up when requests have been without any answer for `SILENCE` seconds. A slow download is not: each answer counts.
"""

import os
import threading
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message, Param
from quarry.indexer.models.hub import offline_switch, probe

SILENCE = 20.0  # seconds
_PROBE_SECONDS = 3.0
_LOOK_SECONDS = 0.2


def download_data(task: Any, silence: float = SILENCE) -> None:
    """Have mteb fetch a task's data from the hub.

    Args:
        task: An mteb task without data.
        silence: Seconds without an answer after which it is given up.

    Raises:
        CorpusError: If the hub is switched off, does not answer, falls silent, or does not have the data.
    """
    if switch := offline_switch():
        raise _not_downloaded(task, Message.of("benchmark.hub_off", "{switch} is set", switch=switch))
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    host = urlsplit(endpoint).hostname or endpoint
    if problem := probe(endpoint, _PROBE_SECONDS):
        raise _not_downloaded(
            task,
            Message.of(
                "benchmark.hub_silent", "the hub does not answer at {host} ({problem})", host=host, problem=problem
            ),
        )
    failures: list[Exception] = []

    def load() -> None:
        try:
            task.load_data()
        except Exception as err:  # noqa: BLE001 (it is raised below, in the thread that waits)
            failures.append(err)

    watch = _Watch()
    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_SECONDS)
        if watch.silent_for() > silence:
            seconds = round(silence)
            raise _not_downloaded(
                task,
                Message.of(
                    "benchmark.hub_stalls",
                    "the hub at {host} has not answered for {seconds} s",
                    host=host,
                    seconds=seconds,
                ),
            )
    if failures:
        raise _not_downloaded(task, Message.plain(_brief(failures[0]))) from failures[0]


class _Watch:
    """Knows since when requests of huggingface_hub are without an answer."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._client: Any = None
        self._listen()

    def silent_for(self) -> float:
        """Return for how many seconds; 0 when none is open."""
        self._listen()
        since = self._since
        return 0.0 if since is None else monotonic() - since

    def _listen(self) -> None:
        """Watch the client, which is another one after a broken connection."""
        from huggingface_hub import get_session

        client: Any = get_session()
        if client is not self._client:
            self._client, self._since = client, None
            hooks = client.event_hooks
            client.event_hooks = {
                "request": [*hooks.get("request", ()), self._asked],
                "response": [*hooks.get("response", ()), self._answered],
            }

    def _asked(self, _request: Any) -> None:
        self._since = self._since or monotonic()

    def _answered(self, _response: Any) -> None:
        self._since = None


def _brief(err: BaseException) -> str:
    return f"{type(err).__name__}: {str(err).strip()}".splitlines()[0][:300]


def _not_downloaded(task: Any, why: Param) -> CorpusError:
    return CorpusError(
        "benchmark.not_downloaded",
        "the data of {task} could not be downloaded ({why})",
        expected="{dataset} on the hub",
        do="Try again, or copy the data set into --data",
        task=str(task.metadata.name),
        why=why,
        dataset=str(task.metadata.dataset["path"]),
    )
