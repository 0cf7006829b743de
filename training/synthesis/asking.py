"""Asks a language model several requests at a time, in order, and keeps what is answered."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from quarry.indexer.embedder import Progress
from quarry.indexer.errors import ModelError, TrainingError
from quarry.indexer.messages import Message
from quarry.retriever.llm.endpoint import Endpoint, Unanswered, ask_messages
from quarry.training.examples.kept_answers import KeptAnswers
from quarry.training.synthesis import answers as faults
from quarry.training.synthesis.tasks import Request

_IN_A_ROW = 5  # requests without an answer, one after another, that end the run


class Asker:
    """Asks several requests at a time, and keeps what is answered.

    Attributes:
        asked: Requests that were sent.
    """

    def __init__(self, endpoint: Endpoint, kept: KeptAnswers, parallel: int) -> None:
        self._endpoint, self._kept, self._parallel = endpoint, kept, max(1, parallel)
        self.asked, self._heard = 0, False

    def answers(self, requests: Iterable[Request], progress: Progress) -> Iterator[str | Message]:
        """Yield each answer in order, or why there is none."""
        silent, feed = 0, iter(requests)
        with ThreadPoolExecutor(self._parallel) as pool:
            while block := list(islice(feed, self._parallel)):
                found = list(pool.map(self._answer, block))
                texts = [(request.key(), answer) for request, answer in zip(block, found, strict=True)]
                self._kept.put(self._endpoint.model, [(key, text) for key, text in texts if isinstance(text, str)])
                for answer in found:
                    if isinstance(answer, ModelError) and not self._heard:
                        raise answer
                    self._heard = self._heard or isinstance(answer, str)
                    silent = 0 if isinstance(answer, str) else silent + 1
                    if silent >= _IN_A_ROW:
                        raise self._silence(answer)
                    yield answer if isinstance(answer, str) else self._reason(answer)
                progress(len(block))

    def _reason(self, err: Unanswered | ModelError) -> Message:
        return faults.SILENT if isinstance(err, Unanswered) else faults.REFUSED

    def _silence(self, last: "str | Unanswered | ModelError") -> TrainingError:
        return TrainingError(
            "synthesis.endpoint_silent",
            "the endpoint fell silent ({why})",
            expected="a running endpoint",
            do="Start it and give the same command again: what was answered is kept",
            why=str(last),
        )

    def _answer(self, request: Request) -> str | Unanswered | ModelError:
        known = self._kept.get(self._endpoint.model, request.key())
        if known is not None:
            return known
        messages = [{"role": "system", "content": request.system}] if request.system else []
        self.asked += 1
        try:
            return ask_messages(self._endpoint, [*messages, {"role": "user", "content": request.user}])
        except (Unanswered, ModelError) as err:
            return err
