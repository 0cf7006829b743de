"""The pointer of an index: one small file that says which generation is live, and which were before."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import StoredMessage
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.sealing import seal, unseal
from quarry.indexer.storage.manifest import FORMAT, check_format

POINTER_NAME = "quarry-index.json"
_PLAIN = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]*")  # name of a folder in `generations`
_HISTORY = 50  # switches that are kept


class Switch(BaseModel):
    """One change of the live generation."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    generation: str
    at: str
    reason: StoredMessage


class Pointer(BaseModel):
    """The pointer file: which generation answers, and how it came to be (newest last)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: int = FORMAT
    generation: str
    history: tuple[Switch, ...] = ()

    @classmethod
    def to(cls, generation: str, reason: Message, history: tuple[Switch, ...]) -> Self:
        """Return the pointer after a switch that happens now."""
        step = Switch(generation=generation, at=datetime.now(UTC).isoformat(timespec="seconds"), reason=reason)
        return cls(generation=generation, history=(*history[-(_HISTORY - 1) :], step))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            IndexFormatError: If it is half-written, damaged, or of a newer format.
        """
        content = unseal(path)
        check_format(content, path)
        try:
            pointer = cls.model_validate(content)
        except ValidationError as err:
            raise IndexFormatError(
                "storage.damaged_pointer",
                "{path} is damaged: {count:wrong field|wrong fields}",
                do="Index again",
                path=path,
                count=err.error_count(),
            ) from err
        if not _PLAIN.fullmatch(pointer.generation):
            raise IndexFormatError(
                "storage.pointer_name",
                "{path} names generation {name}, which is not a plain name",
                do="Index again",
                path=path,
                name=repr(pointer.generation),
            )
        return pointer

    def write(self, path: Path) -> None:
        """Write the file, with its own checksum, atomically."""
        write_atomic(path, seal(self.model_dump(mode="json")))
