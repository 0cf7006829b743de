"""What each visitor of a question took for its answer: what it named, or else what it opened last. It forms no examples.

Few people judge and nearly all of them click, while a gang judges every time; so a passage is weighed against all who took
part in a question, not only against those who judged. `tests/training/test_simulated_users.py` shows what that is worth.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from quarry.training.feedback.events import StoredEvent
from quarry.training.feedback.judgements import query_key
from quarry.training.feedback.voters import last_opened, one_voice_each


class Choices:
    """Per question, the visitors and what they chose.

    Args:
        votes: Judging events, one per query, passage and voter.
        clicks: Click events; of a session that named a passage for the question they do not count.
        burst_seconds: Last clicks on one passage within this many seconds of each other are one voice.
    """

    def __init__(self, votes: Iterable[StoredEvent], clicks: Iterable[StoredEvent], burst_seconds: float) -> None:
        self._chosen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._rejected: dict[tuple[str, str], set[str]] = defaultdict(set)
        for stored in votes:
            event, key = stored.event, query_key(stored.event.query)
            if event.grade:
                self._chosen[key][event.session].add(event.chunk_id)
            else:
                self._rejected[key, event.chunk_id].add(event.session)
        for (key, name), found in last_opened(clicks).items():
            for stored in one_voice_each(found, burst_seconds):
                session = stored.event.session
                if session not in self._chosen[key] and session not in self._rejected[key, name]:
                    self._chosen[key][session].add(name)

    def share(self, key: str, name: str) -> float:
        """Return the share of the question's visitors that chose the passage, in [0, 1]; 0 when nobody chose any."""
        visitors = self._chosen.get(key, {})
        return self.support(key, name) / len(visitors) if visitors else 0.0

    def support(self, key: str, name: str) -> int:
        """Return how many of the question's visitors chose the passage."""
        return sum(name in chosen for chosen in self._chosen.get(key, {}).values())

    def typical(self) -> float:
        """Return how many visitors chose the passage that most chose: the median of the questions, 0 without any."""
        most = [
            max(Counter(n for names in found.values() for n in names).values())
            for found in self._chosen.values()
            if found
        ]
        return median(most) if most else 0.0

    def doubt(self, key: str, name: str) -> float:
        """Return, of those who chose the passage or judged it not relevant, the share that chose it, in [0, 1]."""
        chose = self.support(key, name)
        return chose / (chose + len(self._rejected[key, name])) if chose else 0.0

    def pushed(self, positives: Mapping[str, Sequence[str]], queries: int, agreement: float) -> set[str]:
        """Return passages that are the answer to many questions while many of the visitors of these disagree.

        Args:
            positives: Query key to its positives.
            queries: Passages with fewer questions than this are ignored.
            agreement: Mean share of the visitors that clears it, in [0, 1].
        """
        shares: dict[str, list[float]] = defaultdict(list)
        for key, names in positives.items():
            for name in names:
                shares[name].append(self.share(key, name))
        return {name for name, found in shares.items() if len(found) >= queries and fmean(found) < agreement}
