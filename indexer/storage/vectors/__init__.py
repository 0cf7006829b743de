"""Vectors that are kept so that no passage is encoded twice: by passage digest, in caches, logs and segments."""
