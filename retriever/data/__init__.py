"""Judged data sets, topics, TREC files and JSON lines."""
