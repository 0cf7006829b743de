"""`faiss`: FAISS's flat, HNSW and IVF indexes, read only after their files were checked."""
