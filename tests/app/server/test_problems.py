"""The body of an error response is made of the parts of a message, whatever characters its values have."""

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.problems import Problem, problem_of
from quarry.indexer.errors import CorpusError, SearchError
from quarry.indexer.messages import Message


class WrongQuery(SearchError, ValueError):
    """As the errors are that a wrong query raises."""


def test_values_with_full_stops_and_our_own_separators_stay_in_their_part():
    err = CorpusError(
        "corpus.test",
        "{path} is a link",
        expected="a folder such as {folder}",
        do="Give it by --into",
        path="/data/a; expected b. Do c",
        folder="/data/v1. 2/docs",
    )
    detail = problem_of(err).body.error
    assert detail.found == "/data/a; expected b. Do c is a link"
    assert detail.expected == "a folder such as /data/v1. 2/docs"
    assert detail.do == "Give it by --into"
    assert detail.message == str(err)
    assert (detail.code, detail.reason) == ("unavailable", "corpus.test")


def test_a_wrong_query_is_the_clients_and_all_else_the_servers():
    assert problem_of(WrongQuery("search.test", "the query is empty")).status_code == 422
    assert problem_of(SearchError("storage.test", "the disk is full")).status_code == 503


def test_the_code_is_the_messages_unless_another_is_given_and_no_part_is_empty():
    message = Message.of("serve.read_only", "this server is read-only")
    detail = Problem(403, message).body.error
    assert (detail.code, detail.reason) == ("read_only", "serve.read_only")
    assert detail.found
    assert detail.expected
    assert detail.do
    assert Problem(403, message, code="forbidden").body.error.code == "forbidden"
