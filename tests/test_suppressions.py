"""Whoever silences a tool says why, beside it."""

import io
import re
import tokenize

import pytest

from tests import ROOT

FOLDERS = ("app", "demo_corpus", "examples", "indexer", "retriever", "tests", "training")
_UNEXPLAINED = re.compile(r"noqa(?!: [A-Z]+\d+(, [A-Z]+\d+)* \(.+\))|fmt: ?(skip|off)(?!  # \w)")


def unexplained(source):
    """Return the numbers of the lines whose comment silences a tool without a reason."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.start[0] for token in tokens if token.type == tokenize.COMMENT and _UNEXPLAINED.search(token.string)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_silenced_tool_has_its_reason_beside_it(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    found = {str(path.relative_to(ROOT)): lines for path in paths if (lines := unexplained(path.read_text("utf-8")))}
    assert found == {}


def test_a_missing_reason_is_found():
    source = (
        "a = 1  # noqa\nb = 2  # noqa: S104\nc = 3  # noqa: S104 (why)\nd = 4  # fmt: skip\ne = 5  # fmt: skip  # why\n"
    )
    assert unexplained(source) == [1, 2, 4]
    assert unexplained("a = '# noqa'\n# noqa: E501, S104 (both)\n") == []
