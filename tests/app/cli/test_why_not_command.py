"""`quarry why-not` as it is typed: what it prints, and that the command it prints shows the document."""

import json
import shlex

from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.cli.exits import exit_code
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher

RUNNER = CliRunner()
DOCUMENTS = [
    *(Document(f"{n}.md", f"The pump of hall {n} is checked weekly.", f"Hall {n}") for n in range(30)),
    Document("闸门.md", "冬季前关闭进水闸门。", "闸门", {"lang": "zh"}),
    Document("it's -here.md", "The spare key hangs in the office.", "Key", {"lang": "en"}),
]


def run(*arguments):
    return RUNNER.invoke(cli, list(map(str, arguments)))


def built(folder):
    index_documents(folder / "index", DOCUMENTS, None)
    return folder / "index"


def test_the_printed_command_shows_the_document(tmp_path):
    index = built(tmp_path)
    shown = run("why-not", index, "spare key -office", "Key", "-k", 3, "--filter", "lang=zh")
    assert shown.exit_code == 0, shown.output
    assert "it does not meet the filter lang=zh" in shown.stdout
    (command,) = [line.strip() for line in shown.stdout.splitlines() if line.strip().startswith("quarry search")]
    found = run(*shlex.split(command)[1:], "--json")
    assert found.exit_code == 0, found.output
    assert "it's -here.md" in [result["doc_id"] for result in json.loads(found.stdout)["results"]]


def test_the_printed_command_keeps_the_reranker_and_the_copies_that_were_asked_for(tmp_path):
    index = tmp_path / "index"
    index_documents(index, [*DOCUMENTS, Document("double.md", "The pump of hall 7 is checked weekly.", "Hall")], None)
    asked = ("-k", 1, "--all-copies", "--rerank", "late")
    shown = run("why-not", index, "pump hall 7", "double.md", *asked).stdout
    (command,) = [line.strip() for line in shown.splitlines() if line.strip().startswith("quarry search")]
    assert "--rerank late" in command and "--all-copies" in command
    assert "collapsed" not in shown
    found = run(*shlex.split(command)[1:], "--json")
    assert "double.md" in [result["doc_id"] for result in json.loads(found.stdout)["results"]]


def test_a_file_that_could_not_be_read_again_is_told_with_the_reason(tmp_path):
    folder, index = tmp_path / "docs", tmp_path / "index"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.md").write_text(f"# Hall {n}\n\nThe pump of hall {n} is checked weekly.", "utf-8")
    assert run("index", folder, "--into", index, "--model", "none").exit_code == 0
    (folder / "2.md").write_bytes(b"\x89PNG\x00\x01\x02")
    assert run("index", folder, "--into", index).exit_code == 0
    said = run("why-not", index, "pump", "2.md", "-k", 1).stdout
    assert "could not be read again" in said
    assert "the content is binary" in said
    assert "quarry index" not in said  # it would not help


def test_json_names_stage_and_change(tmp_path):
    answer = json.loads(run("why-not", built(tmp_path), "冬季 -闸门", "闸门", "--json").stdout)
    assert (answer["stage"], answer["change"]["rank"], answer["change"]["question"]) == ("excluded", 1, "冬季")


def test_a_name_of_many_documents_is_a_usage_error(tmp_path, capsys):
    words = ["why-not", str(built(tmp_path)), "pump", "Hall"]
    assert exit_code(lambda: cli(words)) == 2
    assert "means 30 documents" in capsys.readouterr().err


def test_explain_names_what_is_just_below_the_cut(tmp_path):
    index = built(tmp_path)
    shown = run("search", index, "pump hall", "-k", 2, "--explain").stdout
    below = shown.partition("below the cut:")[2].splitlines()
    ranks = [line.strip().partition(".")[0] for line in below if line.startswith("  ")]
    assert ranks == ["3", "4", "5"]
    assert "below the cut" not in run("search", index, "spare key", "-k", 5, "--explain").stdout


def test_explain_searches_once(tmp_path, monkeypatch):
    asked = []
    rank = Searcher.rank
    monkeypatch.setattr(
        Searcher, "rank", lambda self, queries, *rest: asked.append(len(queries)) or rank(self, queries, *rest)
    )
    index = built(tmp_path)
    explained = run("search", index, "pump hall", "-k", 2, "--explain").stdout
    assert "below the cut:" in explained and asked == [1]
    answer = json.loads(run("search", index, "pump hall", "-k", 2, "--explain", "--json").stdout)
    assert len(answer["results"]) == 2
    assert [result["rank"] for result in answer["below_the_cut"]] == [3, 4, 5]
    plain = json.loads(run("search", index, "pump hall", "-k", 2, "--json").stdout)
    assert [result["chunk_id"] for result in answer["results"]] == [result["chunk_id"] for result in plain["results"]]
    assert "below_the_cut" not in plain


def test_explain_names_what_several_indexes_have_below_the_cut(tmp_path):
    index = built(tmp_path)
    index_documents(tmp_path / "other", [Document("pump.md", "A pump in the hall.", "Pump")], None)
    asked = ("search", index, "pump hall", "--also", tmp_path / "other", "-k", 2, "--explain")
    below = run(*asked).stdout.partition("below the cut:")[2]
    assert below.count("(index: ") + below.count("(other: ") == 3
    answer = json.loads(run(*asked, "--json").stdout)
    assert (len(answer["results"]), len(answer["strengths"]), len(answer["below_the_cut"])) == (2, 2, 3)
