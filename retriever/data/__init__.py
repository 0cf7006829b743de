"""Judged data sets and runs as files. Reading names the file, the line and the reason of every fault.

a data set folder (BEIR, FlagEmbedding, TREC) -> queries, judgements, corpus     datasets.load_dataset, the door
which files belong to which split                                                layouts
queries: JSON lines, tsv, topics                                                 topics
judgements and runs, read and written                                            trec; their lines: judged_rows
numbered lines, plain or .gz, and their faults                                   text_lines
"""
