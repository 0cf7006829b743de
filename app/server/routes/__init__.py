"""One module per group of HTTP paths; each has a `router`: search, ask, documents, feedback, models."""
