"""Tokens without a model: what a lexical-only index measures its passages in."""

import re

import numpy as np

from quarry.indexer.embedder import Spans

# CJK characters one by one; Latin words in pieces of at most four letters; digits in threes; every other sign alone
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|\d{1,3}|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]{1,4}|[^\w\s]|_"
)


class ScriptTokens:
    """Splits text by script, in about as many tokens as a multilingual model would see."""

    @property
    def name(self) -> str:
        """Identity, kept in the manifest with the chunking."""
        return "script/1"

    def spans(self, text: str) -> Spans:
        """Return the tokens of `text` as character ranges, shape (n_tokens, 2)."""
        found = [match.span() for match in _TOKEN.finditer(text)]
        return np.array(found, dtype=np.int64).reshape(-1, 2)
