"""What a user touches: the command line, the HTTP and MCP servers, the web pages, and the adapters for RAG frameworks.

    wiring        from options to a loaded model: the one place that chooses
    cli           the `quarry` command
    server        `quarry serve` and `quarry mcp`: HTTP and the Model Context Protocol
    ui            `quarry ui`: the web pages
    integrations  LangChain, LlamaIndex, Haystack
    keeping       `quarry index --watch`: one build after another
    uploads       files that visitors add
    doctor        checks of an index, each with the command that fixes it
    words         the library's messages in the languages of the interface

Nothing below this package imports it, and only `cli` and `ui` print.
"""
