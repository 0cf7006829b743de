"""The search of the command line for other programs: over HTTP (`quarry serve`, extra `serve`) and MCP (`quarry mcp`, extra `mcp`)."""
