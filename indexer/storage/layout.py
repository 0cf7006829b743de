"""The names of the parts of a generation's folder."""

CHUNKS_NAME = "chunks.sqlite"
VECTORS_NAME = "vectors"
LEXICAL_NAME = "lexical"
NAMES_NAME = "names"  # the vectors of titles and headings, a store like that of the passages
CENTROIDS_NAME = "centroids.npy"  # one row per language, in the order of their names
CONTENTS_NAME = "contents.sqlite"  # which segments a generation has, and what was removed from them
