"""RAG with LlamaIndex, up to the language model. Run: python examples/llama_index_rag.py my-index."""

import sys

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from quarry.app.integrations.llama_index import QuarryRetriever

QUESTIONS = ("How long ago did cyanobacteria enter a cell?", "黑死病是怎样传播的？")

retriever = QuarryRetriever.open(sys.argv[1], k=2)
engine = RetrieverQueryEngine.from_args(
    retriever, llm=MockLLM()
)  # your language model instead; no telemetry is in the core
for question in QUESTIONS:
    answer = engine.query(question)
    print(f"Question: {question}")
    for number, found in enumerate(answer.source_nodes, start=1):
        print(f"[{number}] {found.metadata['source']}, score {found.score:.3f}: {found.text!r}"[:110])
    print()
