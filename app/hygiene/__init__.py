"""The state of a collection: what is in it twice, what is old and still answers, what nobody finds, what nobody could answer.

near_duplicates   documents that are nearly the same, by MinHash
usage             how often documents were shown and judged, by the feedback log
state             all of it together, the door
"""
