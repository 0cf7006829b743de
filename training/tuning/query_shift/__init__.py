"""What judgements teach about questions, as the loop learns it: one direction, out of stored vectors, in seconds.

    judged questions -> their own hard negatives in the index -> one direction          learning; settings: spec
    -> judged by the questions themselves, block after block, each by what the blocks before it taught    blocks
    -> and by the general set, recorded                                                  subject, trials

No passage is encoded: `quarry.retriever.stages.query_shift` moves the vectors of questions.
"""
