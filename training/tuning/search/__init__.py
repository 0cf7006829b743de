"""All that judgements teach about a search without encoding a passage, in one run: three parts, one verdict, one switch.

    how questions move, BM25's weight, the second stage's map     learned apart, by `query_shift` and `second_stage`; settings: spec
    -> what helps alone, on questions that it has not seen        choosing
    -> the parts that help, together on the live search           parts
    -> judged block after block by what the questions before taught, recorded in one generation      subject

A part that does not help is left as it is live. No part is chosen by a question that is then judged with it.
"""
