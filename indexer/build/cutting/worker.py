"""The process that large documents are cut in. Run as `python -m quarry.indexer.build.cutting.worker BYTES`.

Its first request brings the settings of the index, each one after it a document.
"""

import json
from functools import partial
from typing import Any

from quarry.indexer.build.cutting.chunking import ChunkSpec, cut_into_terms
from quarry.indexer.embedder import TokenSpans
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.models.token_spans import HfTokenSpans, ScriptTokens
from quarry.indexer.readers.serving import serve
from quarry.indexer.records import Document


class CuttingWorker:
    """Cuts one document per request."""

    def __init__(self) -> None:
        self._cut: Any = None

    def answer(self, request: dict[str, Any], content: bytes) -> dict[str, Any]:
        """Take the settings, then cut documents.

        Returns:
            Their chunks as (start, end, number of the heading), the different headings, and the terms of each chunk.
        """
        if self._cut is None:
            self._cut = _cutting(json.loads(content))
            return {}
        meta = {"format": request["format"]}
        chunks, terms = self._cut(Document(request["doc_id"], content.decode(), request["title"], meta))
        headings = {name: number for number, name in enumerate(dict.fromkeys(chunk.heading for chunk in chunks))}
        places = [(chunk.start, chunk.end, headings[chunk.heading]) for chunk in chunks]
        return {"chunks": places, "headings": list(headings), "terms": terms}


def _cutting(setup: dict[str, Any]) -> Any:
    spec = ChunkSpec(setup["max_tokens"], setup["overlap_tokens"])
    tokens: TokenSpans = HfTokenSpans.from_json(setup["tokenizer"]) if setup["tokenizer"] else ScriptTokens()
    return partial(cut_into_terms, spec=spec, tokens=tokens, analyzer=analyzer(setup["analyzer"]))


if __name__ == "__main__":
    serve(CuttingWorker().answer)
