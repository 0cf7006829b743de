"""The papers' findings in small: `python -m tests.benchmarks.findings NAME... [--into FOLDER] [--data FOLDER] [--scale 16 --device cuda]`.

A finding (`finding.Finding`) is a few ways to train, its arms, and what the papers say of them, its claims. Every arm is trained with
three seeds, which draw the rows, the weights where there are none, and the order. `bench.Bench` has the data, the bodies and the measure:

    rows     questions, titles and glosses with their passages out of train-pairs-en and train-pairs-zh, eight sources alike
    bodies   the first layer of the offline model with the pieces of its vocabulary that the rows use; or two layers of 128 dimensions that
             begin at random
    measure  nDCG@10 of 400 held-out queries (dev.jsonl of the same sets) among 600 passages, exact cosine

`--scale 16` trains on sixteen times the rows, as many as the sources have; `--processes` trains arms beside each other. A folder keeps what
is measured, at one scale, and nothing is trained again. Settings were fixed before the held-out queries were looked at.
"""
