"""The models that a server shares among its requests."""
