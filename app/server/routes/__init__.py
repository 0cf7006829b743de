"""One module per group of HTTP paths; each has a `router`: search, why_not, ask, documents, feedback, models."""
