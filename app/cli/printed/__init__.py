"""What commands print in a terminal, and the JSON that stands for it.

answer        results of `quarry search`, what explains them, what is below the cut
build         the end of `quarry index`
evaluation    the tables of `quarry evaluate`
comparison    the tables and cases of `quarry compare`
benchmark     the tables of `quarry benchmark`
tuning        the end of `quarry tune`
"""
