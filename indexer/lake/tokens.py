"""Token states of a lake, for the second stage: a table beside the passages, and the projection that made them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from quarry.indexer.embedder import Embedder, TermWeights, TokenEmbedder
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lake.making import Lake
from quarry.indexer.stores.lake.layout import STATES
from quarry.indexer.stores.lake.objects import Objects
from quarry.indexer.stores.lake.tables import Table
from quarry.indexer.stores.lake.view import viewed
from quarry.indexer.tokens.cache import unpacked_terms
from quarry.indexer.tokens.fitting import projection_for
from quarry.indexer.tokens.projection import Projection, TokenBytes, states_of

PROJECTION_NAME = "projection.safetensors"


class LakeTokens:
    """A TokenSource on the tables of one generation."""

    def __init__(self, table: Table, objects: Objects, heads: str) -> None:
        self._table, self._objects, self._heads = table, objects, heads

    @classmethod
    def open(cls, generation: Path) -> Self:
        """Open the token states of a generation by its folder in a view.

        Raises:
            FileNotFoundError: If it has none.
            IndexFormatError: If they cannot be read.
        """
        objects, found = viewed(generation)
        if STATES not in found.versions:
            raise FileNotFoundError(STATES)
        return cls(Table.open(objects, found.folder, STATES, found.versions[STATES]), objects, found.heads)

    def projection(self) -> Projection | None:
        """Return the projection that made the rows. Raises IndexFormatError when it is damaged."""
        return _read(self._objects)

    def heads(self) -> str:
        """Return the digest of the model's own heads that made the rows; empty for layer states."""
        return self._heads

    def get(self, digests: Sequence[bytes], dim: int) -> list[TokenBytes | None]:
        """Return the states of passages in order, each of shape (n_tokens, dim); None for one that has none."""
        found = self._blobs(digests, "states")
        return [states_of(found[one], dim) if one in found else None for one in digests]

    def terms(self, digests: Sequence[bytes]) -> list[TermWeights | None]:
        """Return the weights of terms of passages in order; None for one that has none."""
        found = self._blobs(digests, "terms")
        return [unpacked_terms(found[one]) if found.get(one) else None for one in digests]

    def _blobs(self, digests: Sequence[bytes], column: str) -> dict[bytes, bytes]:
        rows = self._table.by("id", sorted({one.hex() for one in digests}), ["id", column])
        return {bytes.fromhex(row["id"]): row[column] for row in rows}


def projection_of(lake: Lake, embedder: Embedder) -> Projection | None:
    """Return the projection of a lake, made and stored by whoever adds first; None for a model without token states.

    Raises:
        IndexFormatError: If it is damaged, or the storage does not answer.
    """
    if not isinstance(embedder, TokenEmbedder):
        return None
    found = _read(lake.objects)
    if found is None:
        lake.objects.create(PROJECTION_NAME, projection_for(embedder).as_bytes())
        found = _read(lake.objects)
    return found


def _read(objects: Objects) -> Projection | None:
    from safetensors import SafetensorError

    try:
        return Projection.from_bytes(objects.read(PROJECTION_NAME).content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (SafetensorError, KeyError, ValueError) as err:
        raise IndexFormatError(
            "lake.damaged_projection",
            "{lake}/{name} is damaged ({error})",
            expected="what made the lake's token states",
            do="Make another lake and add the documents again",
            lake=objects.uri,
            name=PROJECTION_NAME,
            error=str(err),
        ) from err
