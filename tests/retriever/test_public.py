"""The public names of `quarry.retriever`."""

import quarry.retriever


def test_every_public_name_is_there_and_ask_is_one_of_them():
    for name in quarry.retriever.__all__:
        assert getattr(quarry.retriever, name).__name__ == name
    from quarry.retriever import ask

    assert ask.__module__ == "quarry.retriever.answers.answer"
