"""The texts of a generation: tables of passages, documents and metadata, those of one segment and those of all."""
