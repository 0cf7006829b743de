"""Texts out of token ids: LangChain's `OpenAIEmbeddings` sends ids of OpenAI's vocabulary instead of texts.

They are decoded where tiktoken and its file of that vocabulary are on this machine, as they are where such a client runs.
Nothing is downloaded.
"""

import os
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

_ENCODING = "cl100k_base"  # of all of OpenAI's embedding models, and what LangChain takes for models it does not know
_FILE = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # what tiktoken calls its copy: SHA-1 of the address it comes from
_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"


def texts_of(ids: Sequence[Sequence[int]]) -> list[str] | None:
    """Return the texts of token ids; None if the vocabulary is not on this machine, or does not have one of them."""
    if not _is_here():
        return None
    import tiktoken

    encoding = tiktoken.get_encoding(_ENCODING)
    try:
        return [encoding.decode(list(text)) for text in ids]
    except (KeyError, OverflowError):
        return None


def _is_here() -> bool:
    """Whether tiktoken would read its own copy; it downloads one that is missing or damaged."""
    if find_spec("tiktoken") is None:
        return False
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    path = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / _FILE
    return path.is_file() and sha256(path.read_bytes()).hexdigest() == _SHA256
