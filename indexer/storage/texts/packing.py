"""Texts as they are stored: compressed where that makes them smaller.

SQLite keeps both kinds in one column, so tables of before are read as well.
"""

import zlib
from functools import lru_cache

from quarry.indexer.errors import IndexFormatError

_LEVEL = 6  # 1 takes half the time and leaves a tenth more
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
        return _inflated(stored)
    except (zlib.error, UnicodeDecodeError) as err:
        raise IndexFormatError(
            "storage.torn_text",
            "a stored text is damaged ({error})",
            expected="a text that can be decompressed",
            do="`quarry doctor INDEX` names the damaged file; roll back with `quarry generations INDEX --rollback`, or index again "
            "with --rebuild",
            error=str(err),
        ) from err


@lru_cache(maxsize=16)  # passages of one document are read one after the other
def _inflated(stored: bytes) -> str:
    return zlib.decompress(stored).decode("utf-8", "surrogatepass")
