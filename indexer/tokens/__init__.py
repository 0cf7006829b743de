"""What the second stage reads: the state of every token of every passage, in a few bytes.

    projection   token state -> 128 signed bytes, by a fixed rotation
    fitting      the projection of a model, from a fixed bilingual text
    cache        passage digest -> the bytes of its tokens, and bge-m3's weights of terms; `TokenCache` is the door

The states come out of the forward pass that makes the passage's vector (`TokenEmbedder.embed_documents_and_tokens`), and
`quarry.retriever.rerankers.late_interaction` scores with them.
"""
