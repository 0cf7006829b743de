"""`--as`: every command that shows something of an index shows only what somebody may see."""

import json

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.training.feedback.log import FeedbackEvent, FeedbackLog, ShownHit, feedback_path

HIDDEN = ("salar", "zebrafish", "4,000")
COMMANDS = [
    ["search", "INDEX", "gate keeper", "--json", "--no-server"],
    ["search", "INDEX", "gate keeper", "--explain", "--no-server"],
    ["search", "INDEX", '"gate keeper"', "--filter", "kind=*", "--no-server"],
    ["ask", "INDEX", "What does the gate keeper earn?", "--json"],
    ["why-not", "INDEX", "gate", "pay", "--json"],
    ["documents", "INDEX", "--json"],
    ["documents", "INDEX", "--name", "pay"],
    ["report", "INDEX", "--json"],
    ["gaps", "INDEX", "--json"],
    ["feedback", "INDEX", "--json"],
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("as") / "index"
    documents = [
        Document("open.md", "The gate opens at nine. Nobody keeps it.", "Gate", {"kind": "notice"}),
        Document("pay.md", "The gate keeper earns 4,000, zebrafish.", "Salaries", {"allow": ["board"], "kind": "pay"}),
    ]
    index_documents(folder, documents, None)
    with FeedbackLog.open(feedback_path(folder)) as log:
        hits = tuple(
            ShownHit(f"{name}#0-1", name, rank, 1.0, "bm25") for rank, name in enumerate(("open.md", "pay.md"), 1)
        )
        log.append(FeedbackEvent("who is the zebrafish", "thumb_down", "s", "000001", "", "pay.md", 0, shown=hits))
        log.append(
            FeedbackEvent("when does the gate open", "thumb_down", "s", "000001", "", "open.md", 0, shown=hits[:1])
        )
    return folder


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:1] + words[3:4]))
def test_nothing_of_a_hidden_document_is_printed(index, words):
    command = [str(index) if word == "INDEX" else word for word in words]
    found = {who: CliRunner().invoke(cli, [*command, "--as", who]) for who in ("ann", "board,ann")}
    assert all(one.exit_code in (0, 3) for one in found.values()), found["ann"].output
    assert not [word for word in HIDDEN if word in found["ann"].output.casefold()]
    assert any(word in found["board,ann"].output.casefold() for word in HIDDEN)


def test_a_document_is_as_unknown_as_one_that_is_not_there(index):
    said = [CliRunner().invoke(cli, ["documents", str(index), name, "--as", "ann"]) for name in ("pay.md", "zzz.md")]
    assert [str(one.exception).replace("pay.md", "X") for one in said[:1]] == [
        str(said[1].exception).replace("zzz.md", "X")
    ]
    assert json.loads(CliRunner().invoke(cli, ["documents", str(index), "--json", "--as", "ann"]).output)["total"] == 1
