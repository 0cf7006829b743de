"""The stages of a search: dense, BM25, fusion, reranking, each with its time budget."""
