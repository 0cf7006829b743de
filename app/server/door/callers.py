"""Who sends a request, by the key or the token that it carries."""

from dataclasses import dataclass

from starlette.types import Scope

from quarry.app.keys import Key, KeyRing
from quarry.app.server.door.bearer import carries
from quarry.indexer.principals import Principals


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        principals: As whom they ask; None sees everything, and may write.
        key: The name of the key that they hold; empty for the token's holder and for nobody in particular.
    """

    principals: Principals | None = None
    key: str = ""


OWNER = Caller()


@dataclass(frozen=True, slots=True)
class Callers:
    """Tells callers by the header Authorization.

    Attributes:
        token: The owner's; empty for none.
        keys: Those of the index.
        default_deny: Whether holders of keys do not see documents without `allow`.
    """

    token: str
    keys: KeyRing
    default_deny: bool = False

    def of(self, authorization: str) -> Caller | None:
        """Return who sends a header; None for nobody who may ask."""
        if not self.keys.required:
            return OWNER if carries(authorization, self.token) else None
        if self.token and carries(authorization, self.token):
            return OWNER
        key = self.keys.holder(authorization)
        return None if key is None else self._caller(key)

    def anybody(self) -> Caller:
        """Return what somebody without a key is told of on the pages that are open to all."""
        if not self.keys.required:
            return OWNER
        return Caller(Principals((), unlabeled=not self.default_deny))

    def _caller(self, key: Key) -> Caller:
        if key.principals is None:
            return Caller(key=key.name)
        return Caller(Principals(key.principals, unlabeled=not self.default_deny), key.name)


def remember(scope: Scope, caller: Caller) -> None:
    """Note who sends a request, for whatever answers it."""
    scope.setdefault("state", {})["caller"] = caller


def caller_of(scope: Scope) -> Caller:
    """Return who sends a request; somebody who sees nothing when nobody looked."""
    found = scope.get("state", {}).get("caller")
    return found if isinstance(found, Caller) else Caller(Principals((), unlabeled=False))
