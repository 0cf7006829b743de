"""The training section: tune a model on feedback, compare it, go live, roll back.

    job        starts, continues and reports a run in the background; rollback and drift
    panel      what there is to learn from, the form, the progress
    outcomes   finished runs with verdict and curves, the models of the index, rollback
    presenter  words and rows of examples, progress, models, drift
    runs       words and rows of runs

A run goes: examples -> negatives -> training -> verdict on held-out questions -> promotion. `quarry tune` runs the same loop.
"""
