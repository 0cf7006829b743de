"""Paths as people write them."""

from pathlib import Path

import pytest

from quarry.indexer.build import build_index
from quarry.indexer.corpus.places import as_written


@pytest.mark.parametrize("name", ["~", "~nobody-of-this-name", "~backup"])
def test_a_folder_whose_name_begins_with_a_tilde_is_indexed(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name / "texts").mkdir(parents=True)
    (tmp_path / name / "texts" / "a.txt").write_text("A text about libraries.")
    report = build_index(Path("ix"), [Path(name) / "texts"], None)
    assert (report.documents, report.skipped) == (1, ())


def test_the_home_folder_is_meant_where_nothing_here_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert as_written(Path("~/docs")) == tmp_path / "home" / "docs"
    assert as_written(Path("~nobody-of-this-name/docs")) == tmp_path / "~nobody-of-this-name" / "docs"
