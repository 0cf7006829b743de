"""What the embeddings of an index do to a judged data set.

stored vectors and judged queries -> diagnosis          index.diagnose, the door
similarity of relevant and random pairs, anisotropy     vectors
quality by vector length and by number of documents     sweeps
"""
