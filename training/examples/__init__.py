"""Queries with positives and negatives, from every source, and the split that keeps the verdict honest.

the feedback log                  from_feedback.curate
files of pairs, BEIR folders      files.read_pairs; pair_rows, row; written by rows
the documents themselves          corpus_pairs.mine_pairs, by the patterns of patterns
a language model                  synthetic.synthetic_examples
-> Example (example); what was left out and why (reasons)
-> train, dev and test by groups of queries, checked for leaks          split; near_duplicates finds the groups
-> test examples as judged queries of the index                         held_out
Distributions are drawn as text by histogram.
"""
