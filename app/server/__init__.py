"""The HTTP API of `quarry serve`, and the Model Context Protocol of `quarry mcp`.

A request passes, in this order:

    guard            Host header, token, size and time limit of the body, log line, metrics
    routes/          one module per group of paths; `shapes` and `model_shapes` have
                     requests and responses with their limits
    services         what the routes share: the live searcher, the queues, the inbox, the feedback log
    batching         requests that wait together are computed together
    shared_reranker  passages of concurrent requests share forward batches
    bearer           the token, compared in constant time
    problems         every error as JSON: found, expected, do

Documents take another way: `routes/documents` stores them in the `inbox`, which survives kill -9; the `writer` builds a
generation with them, and the live searcher takes it over.

Every limit has its name and default in `settings`. The doors are `application.create_app(Services.open(ServeOptions(index)))`,
`running.run` and `mcp.tools.mcp_server`.
"""
