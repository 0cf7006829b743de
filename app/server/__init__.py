"""`quarry serve`: the search of the command line over HTTP. Needs the extra `serve` (FastAPI, uvicorn, Prometheus client)."""
