"""The public names of `quarry.retriever`."""

import subprocess
import sys

import quarry.retriever


def test_every_public_name_is_there_and_ask_is_one_of_them():
    for name in quarry.retriever.__all__:
        assert getattr(quarry.retriever, name).__name__ == name
    from quarry.retriever import ask

    assert ask.__module__ == "quarry.retriever.answers.answer"


def test_what_searches_imports_nothing_that_builds():
    code = "import sys, quarry.retriever.searcher; print([name for name in sys.modules if name.startswith('quarry.indexer.build')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
