"""The Feedback page: the log as tables, agreement between visitors, and exports for training and evaluation.

`presenter` turns events into rows, `downloads` into files; `pages/feedback.py` draws them, then the training section.
"""
