"""From token ids to unit vectors, on one device.

    ids of a batch -> states of their tokens    bert, filled from a folder by bert_folder; or padded around a model of transformers
    states -> one vector a text                 pooling
    states -> vectors and weights of tokens     m3, where a model has heads for them
    on a device, in a precision                 precision; replica, which is the door

Sequences are packed: the texts of a batch stand one after another, without padding between them.
"""
