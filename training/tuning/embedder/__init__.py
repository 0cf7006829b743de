"""Tuning the embedder.

subject     the embedder as the loop tunes it: fine-tuned, merged with its base, its vectors beside the live ones
estimate    how long the rest of a run will take
"""
