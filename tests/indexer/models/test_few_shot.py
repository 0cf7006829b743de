"""Examples in front of a query: how they are read, cut and put into the format."""

import json

import pytest

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.few_shot import Shot, ShotLimits, cut_shots, read_shots, with_shots, without_shots
from quarry.indexer.models.format import with_instruction
from tests.training.in_context.two_readings import FORMAT, decoder

ICL = "<instruct>Find it.\n<query>{query}\n<response>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = decoder(tmp_path_factory.mktemp("few") / "m")
    profile = json.loads((folder / "quarry.json").read_text()) | {"in_context": True}
    (folder / "quarry.json").write_text(json.dumps(profile))
    return folder


def test_examples_replace_those_before_and_an_example_may_have_its_own_instruction():
    first = with_shots(ICL, [Shot("q1", "r1", "Other."), Shot("q2", "r2")])
    assert first == (
        "<instruct>Other.\n<query>q1\n<response>r1\n\n<instruct>Find it.\n<query>q2\n<response>r2\n\n" + ICL
    )
    assert with_shots(first, [Shot("q", "r")]) == "<instruct>Find it.\n<query>q\n<response>r\n\n" + ICL
    assert without_shots(first) == ICL
    changed = with_instruction(first, "New.")
    assert changed.startswith("<instruct>Other.\n<query>q1")
    assert changed.endswith("<instruct>New.\n<query>{query}\n<response>")


def test_a_slot_or_a_blank_line_in_an_example_is_not_taken_for_that_of_the_query():
    found = with_shots(ICL, [Shot("what does {query} do", "it is\n\na slot {query}")])
    assert found.count("{query}") == 1
    assert without_shots(found) == ICL


@pytest.mark.parametrize(
    "text",
    [
        '{"query": "q", "response": "r"}\n\n{"query": "问", "response": "答", "instruct": "找"}\n',
        '[{"query": "q", "response": "r"}, {"query": "问", "response": "答", "instruct": "找"}]',
        '{"query": "q", "pos": ["r", "s"], "neg": ["t"]}\n{"query": "问", "pos": ["答"], "prompt": "找"}',
    ],
)
def test_lines_lists_and_training_rows_are_read(tmp_path, text):
    (tmp_path / "e.jsonl").write_text(text, encoding="utf-8")
    assert read_shots(tmp_path / "e.jsonl") == (Shot("q", "r"), Shot("问", "答", "找"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no example; expected lines such as"),
        ("[]", "holds no example"),
        ('{"query": "q", "response": "r"}\n{"query": " ", "response": "r"}', "example 2 of .*e.jsonl has no query"),
        ('{"query": "q", "response": ""}', "example 1 of .* has no response; expected text in query and in response"),
        ('{"query": "q", "pos": []}', "has no response"),
        ("[1]", "example 1 of .* has no query"),
        ("{query: q}", "cannot be read"),
    ],
)
def test_a_file_with_empty_parts_is_refused_and_the_example_is_named(tmp_path, text, message):
    (tmp_path / "e.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        read_shots(tmp_path / "e.jsonl")


def test_empty_examples_given_in_python_are_refused_too(folder):
    with pytest.raises(ModelError, match="example 2 has an empty response; expected text in both"):
        load_embedder(folder, device="cpu", options=EncoderOptions(examples=(("n1", "x1"), ("n2", "\n"))))


def test_parts_are_cut_at_their_length_and_further_until_a_quarter_is_the_querys(folder):
    from quarry.indexer.models.loading import load_tokenizer

    tokenizer = load_tokenizer(folder, json.loads((folder / "config.json").read_text())).backend_tokenizer
    long = Shot(" ".join(["n1"] * 400), " ".join(["x1"] * 400))
    (whole,) = cut_shots(FORMAT, [long], tokenizer)
    assert (len(whole.query.split()), len(whole.response.split())) == (256, 256)
    five = cut_shots(FORMAT, [long] * 5, tokenizer)
    lengths = {len(part.split()) for shot in five for part in shot[:2]}
    assert len(lengths) == 1
    assert 140 < lengths.pop() < 154  # 1,536 tokens for five times two parts
    with pytest.raises(ModelError, match="9 examples take .* tokens, however short they are cut; expected at most 75"):
        cut_shots(FORMAT, [long] * 9, tokenizer, ShotLimits(together=100))
    embedder = load_embedder(folder, device="cpu", options=EncoderOptions(examples=(long,) * 5))
    asked = embedder.spec.query_format.replace("{query}", "n7 n8")
    assert len(tokenizer.encode(asked).ids) <= 300 + 5  # three quarters of the model's 400, and the query itself


def test_blank_lines_in_an_instruction_do_not_end_an_example(folder):
    options = EncoderOptions(instruction="one\n\ntwo ", examples=(("n1", "x1"),))
    found = load_embedder(folder, device="cpu", options=options).spec.query_format
    assert without_shots(found) == "one\ntwo {query} answer "
