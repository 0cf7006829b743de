"""The retrieval half of a RAG pipeline with Haystack. Run: python examples/haystack_rag.py my-index."""

import os
import sys

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # nothing leaves this machine

from haystack import Pipeline
from haystack.components.builders import PromptBuilder

from quarry.app.integrations.haystack import QuarryRetriever

QUESTIONS = ("How long ago did cyanobacteria enter a cell?", "黑死病是怎样传播的？")
TEMPLATE = """Answer from these passages only:
{% for d in documents %}[{{ loop.index }}] {{ d.meta.source }}, score {{ d.score | round(3) }}: {{ d.content | replace("\\n", " ") }}
{% endfor %}
Question: {{ question }}
"""

pipeline = Pipeline()
pipeline.add_component("retriever", QuarryRetriever(sys.argv[1], top_k=2))
pipeline.add_component("prompt", PromptBuilder(TEMPLATE, required_variables=["documents", "question"]))
pipeline.connect("retriever.documents", "prompt.documents")  # and "prompt" to your generator
for question in QUESTIONS:
    made = pipeline.run({"retriever": {"query": question}, "prompt": {"question": question}})
    for line in made["prompt"]["prompt"].splitlines():
        print(line[:110])
    print()
