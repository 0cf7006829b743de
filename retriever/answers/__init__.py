"""A question in, an answer with sources out: passages packed, a model asked or sentences taken, every citation checked."""
