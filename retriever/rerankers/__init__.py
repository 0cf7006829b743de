"""Models that read a query and a passage together and give one logit; higher is better.

    folder -> architecture and profile                                    cross_encoder.load_reranker, the door
    -> sequence classifier                                                cross_encoder.SequenceReranker
    -> language model, the logit of `Yes`                                 decoder.DecoderReranker
       with one head per layer: MiniCPM, Gemma 2                          minicpm, gemma
    pairs of many queries -> batches by length -> logits                  batched
    token states of the index, no model: late interaction                 late_interaction; why, word by word: alignment;
                                                                          bge-m3's own sum: m3

The head computes in float32 whatever the model's precision, so near-equal passages keep their order.
"""
