"""Requests and responses, with their limits; the OpenAPI schema is generated from these."""
