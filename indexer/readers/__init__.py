"""One reader per format: bytes in, text with headings and pages out, or a refusal with its reason."""
