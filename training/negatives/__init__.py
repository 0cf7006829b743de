"""Examples in, examples with hard negatives out.

a pool: the index, or passages of files, by vectors or BM25     corpus.MiningCorpus
-> ranking per query; examples whose positive is not found are dropped
-> candidates in a window of ranks, without known positives     known_good; choice
-> negatives drawn by a `NegativeSpec`                          spec; mine.mine_negatives, the door
-> a report for a person, as Markdown and JSON                  report, report_page
"""
