"""An OpenAI-compatible endpoint, with streaming."""
