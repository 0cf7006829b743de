"""A tuned embedder and its base in, their best mixture out (LM-Cocktail, arXiv 2311.13534).

base and tuned folder -> mixtures scored on the dev queries     share.score_mixtures
-> the share of the tuned weights that is kept                  share.keep_share, the door
-> a model folder of its own                                    mixture.merge_models
"""
