"""The exception tree of Quarry.

    * SearchError
      x CorpusError          a document or data set could not be read; names the file and the reason
      x IndexFormatError     the folder is not an index, is damaged, or has another format version
        + OtherFormatError   of another format version than this program reads
        + AccessError        nothing is wrong with it: this user may not read or write it
      x IndexMismatchError   the index was built with another model or setting than the one given
      x IndexBusyError       another process is writing to the index; names it
      x ModelError           a model could not be found or loaded; says what to do
      x MissingExtraError    an optional package is needed; names the extra that brings it
      x FeedbackError        a judgement or training row is not valid; names the line
      x TrainingError        a training run could not go on; what it was given and the folder of the run are as before
        + TrainingStopped    somebody stopped it; it can go on from its checkpoint
      x SettingsError        an unknown key or a value out of bounds; gives its name
      x QueryError           a question cannot be asked as it is; a ValueError too
        + EmptyQuery         it has no character that could be searched for
        + UnknownFilter      no document has the metadata that it filters by
        + BadFilter          a filter that no index could answer: an unknown operator, or a bound that is no number or date
        + UnknownRoot        the index was not made from the folder that it names

Every error carries a `Message`: a code, what was found, what was expected, what to do, and the parameters of these templates.
A caller's mistake in arguments is a plain `ValueError`.

    raise ModelError(
        "model.no_folder", "{folder} is not a folder", expected="a model folder", do="Run `quarry models`", folder=folder
    )
"""

from functools import partial
from os import PathLike
from typing import Any

from quarry.indexer.memory import out_of_memory
from quarry.indexer.messages import Message, Param


class SearchError(Exception):
    """Base of every error that Quarry raises on purpose.

    Attributes:
        message: What happened, as a value; `str(err)` is its English.
    """

    def __init__(
        self, code: str, found: str = "", *, expected: str = "", do: str = "", **params: "Param | PathLike[str]"
    ) -> None:
        """Make the message.

        Args:
            code: Names the kind of error, `room.what`.
            found: Template of what was found.
            expected: Template of what was expected.
            do: Template of what to do.
            params: The values of the templates' names; paths become strings.
        """
        values = {key: str(value) if isinstance(value, PathLike) else value for key, value in params.items()}
        self.message = Message(code, found, expected, do, values) if found else Message.plain(code)
        super().__init__(str(self.message))

    @classmethod
    def of(cls, message: Message) -> "SearchError":
        """Return an error of this class that carries a message."""
        return cls(message.code, message.found, expected=message.expected, do=message.do, **message.params)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the message across processes."""
        return partial(_again, type(self)), (self.message,)


def _again(kind: type[SearchError], message: Message) -> SearchError:
    return kind.of(message)


class CorpusError(SearchError):
    """A document or data set could not be read."""


class IndexFormatError(SearchError):
    """The folder is not an index, is damaged, or was written by another format version."""


class OtherFormatError(IndexFormatError):
    """The folder was written by a version of Quarry with another format; nothing is damaged."""


class AccessError(IndexFormatError):
    """A file may not be read or written by this user, or lies on a disk that is read-only; nothing is damaged."""


class IndexMismatchError(SearchError):
    """The index was built with another model or setting than the one given."""


class IndexBusyError(SearchError):
    """Another process holds the index's writer lock."""


class ModelError(SearchError):
    """A model could not be found or loaded."""


class MissingExtraError(SearchError):
    """An optional package is missing; the message names the extra to install."""


class FeedbackError(SearchError):
    """A judgement or training row is not valid."""


class TrainingError(SearchError):
    """A training run could not begin or go on."""


class TrainingStopped(TrainingError):
    """Somebody stopped a training run; a checkpoint was saved and the message says how to go on."""


class SettingsError(SearchError):
    """An unknown setting, or a value out of bounds."""


class QueryError(SearchError, ValueError):
    """A question cannot be asked as it is: the asker's mistake, not the index's."""


class EmptyQuery(QueryError):
    """The query has no character that could be searched for."""


class UnknownFilter(QueryError):
    """No document has the metadata that a query filters by."""


class BadFilter(QueryError):
    """A filter has no key, an unknown operator, or compares what cannot be compared."""


class UnknownRoot(QueryError):
    """The index was not made from the folder that was named."""


def cause_of(err: BaseException) -> Message:
    """Return what an exception says: its message when it is one of ours, else its type and text."""
    if (short := out_of_memory(err)) is not None:
        return short
    if isinstance(err, SearchError):
        return err.message
    return Message.plain(f"{type(err).__name__}: {err}" if str(err) else type(err).__name__)
