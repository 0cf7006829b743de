"""When something is said is the place of a hit; judgements and questions in GB18030 and Big5 are read as documents are."""

import asyncio

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.ui.search.presenter import place_html
from quarry.indexer.build import build_index
from quarry.indexer.errors import CorpusError
from quarry.retriever.data.text_lines import numbered_lines, whole_text
from quarry.retriever.searcher import Searcher
from tests.app.ui.languages import english

FILM = (
    "1\n00:00:01,000 --> 00:00:02,000\nOpen the lock.\n\n2\n00:01:30,000 --> 00:01:32,000\n"
    + "Then we shut it and wait for the tide. " * 60
    + "\n\n3\n00:02:40,000 --> 00:02:41,000\nThe winch is oiled every spring.\n"
)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    base = tmp_path_factory.mktemp("film")
    (base / "docs").mkdir()
    (base / "docs" / "film.srt").write_text(FILM)
    (base / "docs" / "notes.md").write_text("# Winch\n\nThe winch is oiled every spring, says the manual.")
    (base / "docs" / "copy.md").write_text("# Winch\n\nThe winch is oiled every spring, says the manual.")
    build_index(base / "ix", [base / "docs"], None)
    return base / "ix"


def test_a_hit_of_a_film_says_when(index):
    answer = Searcher.open(index, rerank="none").search("winch oiled spring", 5)
    times = {hit.source: hit.time for hit in answer.results}
    assert times["docs/film.srt"].startswith("0:0")
    assert {times[source] for source in times if source.endswith(".md")} == {""}
    (film,) = [hit for hit in answer.results if hit.source == "docs/film.srt"]
    assert film.time in place_html(film, english)
    done = CliRunner().invoke(cli, ["search", str(index), "wait tide", "--rerank", "none"])
    assert "film.srt, 0:0" in done.output


def test_the_tool_for_models_takes_a_number_and_conditions_and_names_times_and_copies(index):
    pytest.importorskip("mcp")
    from mcp import Client

    from quarry.app.server.mcp.tools import mcp_server
    from quarry.retriever.live import LiveSearcher

    live = LiveSearcher(index, rerank="none")

    async def ask(**arguments):
        async with Client(mcp_server(lambda: live)) as session:
            (tool,) = [tool for tool in (await session.list_tools()).tools if tool.name == "search"]
            assert all("description" in one for one in tool.input_schema["properties"].values())
            return await session.call_tool("search", {"query": "winch oiled spring", **arguments})

    found = asyncio.run(ask(filters={"format": "subtitles"})).structured_content["results"]
    assert found
    assert all(one["url"].startswith("docs/film.srt#t=0:0") for one in found)
    (best,) = asyncio.run(ask(k=1, filters={"format": "markdown"})).structured_content["results"]
    assert {best["url"], *best["copies"]} == {"docs/notes.md", "docs/copy.md"}
    assert asyncio.run(ask(k=0)).is_error
    assert asyncio.run(ask(filters={"colour": "red"})).is_error


ROWS = "".join(f"问题{number}\t水泵每季度保养几次，由谁负责登记在册？\n" for number in range(20))


@pytest.mark.parametrize("charset", ["gb18030", "utf-8", "utf-8-sig"])
def test_lines_are_read_in_the_charset_of_their_file(tmp_path, charset):
    (tmp_path / "a.tsv").write_bytes(("query\ttext\n" + ROWS).encode(charset))
    assert [line for _, line in numbered_lines(tmp_path / "a.tsv")][1] == ROWS.split("\n")[0]
    assert whole_text(tmp_path / "a.tsv") == "query\ttext\n" + ROWS


def test_a_file_of_two_charsets_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.tsv").write_bytes(ROWS.encode() + ROWS.encode("gb18030"))
    with pytest.raises(CorpusError, match=r":21: not UTF-8 at byte"):
        list(numbered_lines(tmp_path / "a.tsv"))
