"""Why a file or a row was left out, as a message for people; programs read the `Reason` itself."""

from collections.abc import Mapping

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Reason

REASONS: Mapping[Reason, Message] = {
    "empty": Message.of("readers.reason_empty", "empty file"),
    "no text": Message.of("readers.reason_no_text", "no text"),
    "encrypted": Message.of("readers.reason_encrypted", "encrypted"),
    "unsupported format": Message.of("readers.reason_unsupported_format", "unsupported format"),
    "damaged": Message.of("readers.reason_damaged", "damaged or not what its name says"),
    "too large": Message.of("readers.reason_too_large", "too large"),
    "too many files": Message.of("readers.reason_too_many_files", "too many files"),
    "archive bomb": Message.of("readers.reason_archive_bomb", "unpacks to far too much"),
    "not a regular file": Message.of("readers.reason_not_a_regular_file", "not a regular file"),
    "link loop": Message.of("readers.reason_link_loop", "link loop"),
    "time limit": Message.of("readers.reason_time_limit", "took too long to read"),
    "memory limit": Message.of("readers.reason_memory_limit", "needs too much memory"),
    "duplicate id": Message.of("readers.reason_duplicate_id", "duplicate id"),
    "missing extra": Message.of("readers.reason_missing_extra", "a package is missing"),
    "unreadable": Message.of("readers.reason_unreadable", "cannot be read"),
    "wrong row": Message.of("readers.reason_wrong_row", "invalid row"),
    "being written": Message.of("readers.reason_being_written", "still being written"),
    "partly read": Message.of("readers.reason_partly_read", "read in part"),
}
