"""What an index is on disk: generations, manifest, passages, vectors, locks."""
