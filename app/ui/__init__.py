"""The Streamlit app: four pages over one index. Pages gather input, call one function and show rows; nothing here decides."""
