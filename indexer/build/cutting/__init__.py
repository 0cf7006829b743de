"""From documents to passages, in this process or in workers."""
