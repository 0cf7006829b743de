"""What can rerank the results of an index on this machine."""

from dataclasses import dataclass

from quarry.app.ui.shared.session import Session
from quarry.indexer.models.source import resolve_model
from quarry.indexer.storage.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Rerankers:
    """What can rerank.

    Attributes:
        late: Late interaction, over the token states of the index; hybrid search only.
        model: A reranking model.
    """

    late: bool
    model: bool

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.late or self.model


def rerankers(session: Session, manifest: Manifest) -> Rerankers:
    """Say what can rerank; no model is loaded."""
    if session.rerank == "none":
        return Rerankers(late=False, model=False)
    named = session.rerank not in ("auto", "late")
    found = session.rerank == "auto" and (
        manifest.reranker is not None or resolve_model("auto", kind="reranker") is not None
    )
    return Rerankers(late=bool(manifest.token_states), model=named or found)
