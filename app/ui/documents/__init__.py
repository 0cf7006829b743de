"""The page Documents.

`presenter` turns documents into rows and sentences, `actions` indexes the folders again; `pages/documents.py` draws them.
"""
