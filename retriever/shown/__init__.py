"""What of a ranking is shown: one result per document, copies collapsed, words highlighted."""
