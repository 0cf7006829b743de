"""The retrieval half of a RAG chain with LangChain. Run: python examples/langchain_rag.py my-index."""

import os
import sys

os.environ.setdefault("LANGSMITH_TRACING", "false")  # nothing leaves this machine

from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from quarry.app.integrations.langchain import QuarryRetriever

QUESTIONS = ("How long ago did cyanobacteria enter a cell?", "黑死病是怎样传播的？")
PROMPT = ChatPromptTemplate.from_template("Answer from these passages only:\n{passages}\n\nQuestion: {question}")


def numbered(documents: list[Document]) -> str:
    """Return the passages with their sources, as a chat model should see and cite them."""
    return "\n".join(
        f"[{number}] {document.metadata['source']}, score {document.metadata['score']:.3f}: {document.page_content!r}"
        for number, document in enumerate(documents, start=1)
    )


retriever = QuarryRetriever.open(sys.argv[1], k=2)
chain = {"passages": retriever | numbered, "question": RunnablePassthrough()} | PROMPT  # | your chat model
for question in QUESTIONS:
    for line in chain.invoke(question).to_string().splitlines():
        print(line[:110])
    print()
