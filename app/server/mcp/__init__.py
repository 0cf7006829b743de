"""The Model Context Protocol: `tools` says what a host may call, `http` serves it over HTTP, `opening` loads the index meanwhile."""
