"""Pairs for training out of documents and structured files, as C-Pack made C-MTP (arXiv 2309.07597, section 3.2), at any size.

documents and rows give pairs                       documents, fields; read by sources
-> texts without markup; a fault, or none           texts, cleaning (its signs of spam and of attacks: spam)
-> those that are no copy of an earlier pair        copies, over signatures of minhash
-> those that a model finds related                 scoring
-> a file that `quarry train` reads                 run.make_pairs

Everything between the steps stays in a work folder beside the result (staging), so that memory does not grow with the texts and an
interrupted run resumes.
"""
