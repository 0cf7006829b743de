"""Quarry inside RAG frameworks: one thin module per framework, each behind an extra of the same name.

    langchain        QuarryRetriever, QuarryEmbeddings, QuarryReranker
    langchain_store  QuarryVectorStore: an index as LangChain's vector store
    llama_index      QuarryRetriever, QuarryEmbedding, QuarryReranker
    haystack         QuarryRetriever, QuarryTextEmbedder, QuarryDocumentEmbedder, QuarryRanker
    filters          their filters, in the form that a search takes
    common           what they share; imports no framework

A question goes to a `Searcher`, and its passages become the framework's documents with `common.passage_metadata`, whose
`degraded` says which stages did not fully run. Importing a module requires its framework.
"""
