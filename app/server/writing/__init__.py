"""Documents that are sent to a server: acknowledged first, indexed in the background."""
