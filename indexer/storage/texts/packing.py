"""Texts, digests and metadata as they are stored: texts compressed where that makes them smaller, digests as bytes.

SQLite keeps both kinds in one column, so tables of before are read as well.
"""

import re
import zlib
from functools import lru_cache
from json import loads
from typing import Any

from quarry.indexer.errors import IndexFormatError

_LEVEL = 6  # 1 takes half the time and leaves a tenth more
_MOST = 256 << 20  # bytes of a text: more than the readers hand over
_KEPT = 4 << 20  # characters; longer texts are not kept unpacked
_HEX = re.compile("[0-9a-f]{64}")
_FROM = 100  # characters; shorter texts gain nothing


def packed(text: str) -> str | bytes:
    """Return what is stored of a text.

    Example:
        >>> stored = packed("The library lends books. " * 20)
        >>> len(stored) < 60, unpacked(stored) == "The library lends books. " * 20, packed("short")
        (True, True, 'short')
    """
    if len(text) < _FROM:
        return text
    plain = text.encode("utf-8", "surrogatepass")
    small = zlib.compress(plain, _LEVEL)
    return small if len(small) < len(plain) else text


def unpacked(stored: str | bytes) -> str:
    """Return the text of what is stored.

    Raises:
        IndexFormatError: If it is damaged.
    """
    if isinstance(stored, str):
        return stored
    try:
        text = _inflated(stored)
    except (zlib.error, UnicodeDecodeError, TypeError) as err:
        raise torn_text(str(err)) from err
    if len(text) > _KEPT:
        _inflated.cache_clear()
    return text


def packed_digest(digest: str) -> bytes | str:
    """Return what is stored of a SHA-256 in hex: its bytes; of anything else, itself.

    Example:
        >>> packed_digest("0f" * 32) == bytes([15] * 32), unpacked_digest(bytes([15] * 32)) == "0f" * 32, packed_digest("")
        (True, True, '')
    """
    return bytes.fromhex(digest) if _HEX.fullmatch(digest) else digest


def unpacked_digest(stored: str | bytes) -> str:
    """Return the digest in hex of what is stored; older tables hold it so."""
    return stored.hex() if isinstance(stored, bytes) else stored


def torn_text(error: str) -> IndexFormatError:
    """Make the error for a stored text that is not as it was written."""
    return IndexFormatError(
        "storage.torn_text",
        "a stored text is damaged ({error})",
        expected="a text that can be decompressed",
        do="`quarry doctor INDEX` names the damaged file; roll back with `quarry generations INDEX --rollback`, or index again "
        "with --rebuild",
        error=error,
    )


@lru_cache(maxsize=16)  # passages of one document are read one after the other
def _inflated(stored: bytes) -> str:
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(stored, _MOST)
    if not unpacker.eof:
        raise zlib.error(f"it is cut off, or unpacks to more than {_MOST} bytes")
    return plain.decode("utf-8", "surrogatepass")


def read_meta(stored: str) -> dict[str, Any]:
    """Return a document's metadata of what is stored.

    Raises:
        IndexFormatError: If it is no JSON object.
    """
    try:
        found = loads(stored)
    except (ValueError, TypeError, RecursionError) as err:
        raise _torn_metadata(str(err)) from err
    if not isinstance(found, dict):
        raise _torn_metadata(type(found).__name__)
    return found


def _torn_metadata(error: str) -> IndexFormatError:
    return IndexFormatError(
        "storage.torn_metadata",
        "the stored metadata of a document is damaged ({error})",
        expected="a JSON object",
        do="`quarry doctor INDEX` names the damaged file; roll back with `quarry generations INDEX --rollback`, or index again "
        "with --rebuild",
        error=error[:200],
    )
