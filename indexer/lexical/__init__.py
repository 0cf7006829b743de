"""Text to terms, terms to BM25."""
