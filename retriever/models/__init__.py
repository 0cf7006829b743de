"""The models of a search.

lazy        the embedder and the reranker of a searcher: loaded once, when first needed; when that fails, the reason is kept
recorded    what a manifest records, found on this machine and loaded as it was
"""
