"""Situations out of public bug reports of this field, in our own words, with the right value as the assertion."""
