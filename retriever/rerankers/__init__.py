"""Cross-encoders and decoder rerankers."""
