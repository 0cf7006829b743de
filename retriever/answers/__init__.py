"""A question in, an answer with sources out, or a refusal.

    search -> passages packed into a token budget               packing
    -> is the evidence enough to answer from?                   signals, calibration, evidence (no: refusal)
    -> a model writes, sentence by sentence                     drafting, prompt, generate, quarry.retriever.llm
       or the documents' own sentences answer                   extract, sentences
    -> every citation checked against its passage               citations, facts
    -> markup and foreign links taken out                       plain

The door is `ask`, in `answer`. Without an endpoint, or when it fails, the documents' own sentences answer. An index can have
its own threshold: `calibrate`.
"""
