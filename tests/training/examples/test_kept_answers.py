"""Answers are kept on disk: found again by any number of runs, torn lines and all, and not held in memory."""

import tracemalloc

import pytest

from quarry.training.examples import kept_answers
from quarry.training.examples.kept_answers import KeptAnswers


@pytest.mark.parametrize("merged", [3, 1 << 14])
def test_answers_are_found_again_in_the_same_run_and_the_next(tmp_path, monkeypatch, merged):
    monkeypatch.setattr(kept_answers, "_MERGED", merged)
    path = tmp_path / "run" / "answers.jsonl"
    first = KeptAnswers(path)
    for start in range(0, 20, 5):
        first.put("m", [(f"prompt {n}", f"回答 {n}\nline") for n in range(start, start + 5)])
    assert [first.get("m", f"prompt {n}") for n in range(20)] == [f"回答 {n}\nline" for n in range(20)]
    with path.open("ab") as file:
        file.write(b'{"prompt": "torn')
    again = KeptAnswers(path)
    again.put("m", [("prompt 3", "another"), ("prompt 20", "new"), ("prompt 21", "")])
    third = KeptAnswers(path)
    for kept in (again, third):
        assert len(kept) == 21
        assert kept.get("m", "prompt 3") == "回答 3\nline"
        assert kept.get("m", "prompt 20") == "new"
        assert kept.get("m", "prompt 21") is None
        assert kept.get("other model", "prompt 3") is None


def test_memory_does_not_grow_with_the_length_of_answers(tmp_path):
    path = tmp_path / "answers.jsonl"
    long = "x" * 20_000
    for start in range(0, 2_000, 100):
        KeptAnswers(path).put("m", [(str(n), f"{n} {long}") for n in range(start, start + 100)])
    assert path.stat().st_size > 40_000_000
    tracemalloc.start()
    kept = KeptAnswers(path)
    assert kept.get("m", "1999") == f"1999 {long}"
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000
    assert peak < 2_000_000


def test_a_file_that_changed_under_it_gives_no_other_answer(tmp_path):
    path = tmp_path / "answers.jsonl"
    kept = KeptAnswers(path)
    kept.put("m", [("a", "first"), ("b", "second")])
    path.write_bytes(b"\n" * path.stat().st_size)
    assert kept.get("m", "a") is None
