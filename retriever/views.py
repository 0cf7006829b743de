"""The searchers that one searcher keeps beside itself: what somebody may see of its index, and its index joined with others."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Generic, TypeVar

from quarry.indexer.principals import Principals

S = TypeVar("S")

_MOST_SEEN = 64  # principals whose view of the index is kept open
_MOST_JOINED = 4  # sets of indexes that begin with this one


class Views(Generic[S]):
    """Searchers by what they show, made when they are first asked for. Safe to share between threads."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Principals, S] = OrderedDict()
        self._joined: list[tuple[Mapping[str, S], S]] = []
        self._lock = Lock()

    def seen_by(self, principals: Principals, make: Callable[[], S]) -> S:
        """Return the searcher of what somebody may see; of many, those asked last are kept."""
        with self._lock:
            found = self._seen.get(principals)
            if found is None:
                found = self._seen[principals] = make()
            self._seen.move_to_end(principals)
            while len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
            return found

    def joined(self, searchers: Mapping[str, S], make: Callable[[], S]) -> S:
        """Return the searcher of several as one: the one made before, while all of them are the same under the same names."""
        with self._lock:
            for kept, found in self._joined:
                if list(kept) == list(searchers) and all(kept[name] is one for name, one in searchers.items()):
                    return found
            made = make()
            self._joined = [*self._joined[1 - _MOST_JOINED :], (dict(searchers), made)]
            return made
