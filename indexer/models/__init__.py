"""Model folders in, embedders out."""
