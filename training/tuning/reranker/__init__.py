"""Tuning the reranker.

subject    the reranker as the loop tunes it
base       which one a run begins with, and which ones the tuned one must beat
trials     rerankers on the held-out queries and on the general set
"""
