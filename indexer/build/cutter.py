"""From a document to its passages and their terms: chunking and analysis with the settings of one index."""

from dataclasses import dataclass

from quarry.indexer.build.chunking import ChunkSpec, split
from quarry.indexer.embedder import TokenSpans
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.records import Chunk, Document, passage_text
from quarry.indexer.storage.manifest import Chunking


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts documents into chunks and chunks into terms, always in the same way."""

    spec: ChunkSpec
    tokens: TokenSpans
    analyzer: Analyzer

    @property
    def chunking(self) -> Chunking:
        """What the manifest records of it."""
        return Chunking(
            max_tokens=self.spec.max_tokens, overlap_tokens=self.spec.overlap_tokens, tokenizer=self.tokens.name
        )

    def cut(self, document: Document) -> tuple[list[Chunk], list[list[str]]]:
        """Return the chunks of a document and, in the same order, their analysed terms."""
        chunks = split(document, self.spec, self.tokens)
        terms = [self.analyzer.tokens(passage_text(document.title, chunk.heading, chunk.text)) for chunk in chunks]
        return chunks, terms
