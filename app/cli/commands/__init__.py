"""One module per command; each registers itself on the command line.

documents in      index, generations
questions         search, ask, ui, serve, mcp
measuring         evaluate, compare, benchmark, diagnose
models            models, tune, train, feedback
first steps       demo, doctor
"""
