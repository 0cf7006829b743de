"""What the Search page shows: form, hits, judgements, answers, uploads."""
