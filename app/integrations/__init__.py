"""Quarry inside other programs' frameworks: one thin module per framework, each an extra. Importing one needs its framework."""
