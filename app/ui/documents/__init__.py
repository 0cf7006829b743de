"""The page Documents.

`presenter` turns documents into rows and sentences, `actions` takes documents out and indexes the folders again;
`pages/documents.py` draws them.
"""
