"""Runs and judgements in, measures with intervals and comparisons out."""
