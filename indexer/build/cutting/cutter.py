"""From a document to its passages and their terms, with the settings of one index and within the limits of one file.

A large document is cut in a process with a time and a memory limit. A small one is cut here: chunking and analysis are linear, so that
its size is limit enough.
"""

import json

from quarry.indexer.build.cutting.chunking import ChunkSpec, cut_into_terms
from quarry.indexer.embedder import TokenSpans
from quarry.indexer.lexical.analyzer import Analyzer, ScriptAnalyzer
from quarry.indexer.messages import Message
from quarry.indexer.models.token_spans import HfTokenSpans, ScriptTokens
from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.sandbox import Sandbox
from quarry.indexer.records import Chunk, Document, passage_id
from quarry.indexer.storage.facts import Chunking

LARGE = 100_000  # characters of a document that is cut in a process of its own
_SLOWEST = 50_000  # characters a second; below this speed a document is given up
_WORKER = "quarry.indexer.build.cutting.worker"


class Cutter:
    """Cuts documents into chunks and chunks into terms, always in the same way. `close` ends its process, if it has one."""

    def __init__(
        self, spec: ChunkSpec, tokens: TokenSpans, analyzer: Analyzer, limits: ReadOptions = ReadOptions()
    ) -> None:
        self._spec, self._tokens, self.analyzer, self.limits = spec, tokens, analyzer, limits
        self._sandbox: Sandbox | None = None

    @property
    def chunking(self) -> Chunking:
        """What the manifest records of it."""
        return Chunking(
            max_tokens=self._spec.max_tokens, overlap_tokens=self._spec.overlap_tokens, tokenizer=self._tokens.name
        )

    def close(self) -> None:
        """End the process that large documents are cut in."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def use(self, analyzer: Analyzer) -> None:
        """Cut with another analyzer from now on."""
        self.close()
        self.analyzer = analyzer

    def cut(self, document: Document) -> tuple[list[Chunk], list[list[str]]]:
        """Return the chunks of a document and, in the same order, their analyzed terms.

        Raises:
            Unreadable: If the document is longer than allowed, or takes more time or memory.
        """
        size = len(document.text)
        if size > self.limits.text_characters:
            found = Message.of(
                "build.long_document",
                "its text has {characters:,} characters",
                expected="at most {limit:,}",
                do="Split it",
                characters=size,
                limit=self.limits.text_characters,
            )
            raise Unreadable("too large", found)
        sandbox = self._running() if size > LARGE else None
        if sandbox is None:
            return cut_into_terms(document, self._spec, self._tokens, self.analyzer)
        request = {"doc_id": document.doc_id, "title": document.title, "format": document.meta.get("format", "")}
        seconds = self.limits.parser_seconds + size / _SLOWEST
        reply = sandbox.ask(request, document.text.encode(), seconds)
        names: list[str] = reply["headings"]
        chunks = [
            Chunk(
                passage_id(document.doc_id, start, end),
                document.doc_id,
                document.text[start:end],
                start,
                end,
                names[name],
            )
            for start, end, name in reply["chunks"]
        ]
        return chunks, reply["terms"]

    def _running(self) -> Sandbox | None:
        """Return the process, None when a tokenizer or analyzer of the caller's own cannot be sent to it."""
        if self._sandbox is None and (setup := self._setup()) is not None:
            self._sandbox = Sandbox(self.limits, _WORKER, json.dumps(setup).encode())
        return self._sandbox

    def _setup(self) -> dict[str, str | int] | None:
        if not isinstance(self.analyzer, ScriptAnalyzer) or not isinstance(self._tokens, HfTokenSpans | ScriptTokens):
            return None
        return {
            "max_tokens": self._spec.max_tokens,
            "overlap_tokens": self._spec.overlap_tokens,
            "analyzer": self.analyzer.kind,
            "tokenizer": self._tokens.as_json() if isinstance(self._tokens, HfTokenSpans) else "",
        }
