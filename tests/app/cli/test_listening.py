"""`--json` of the commands that listen: one line tells a program where, and what it needs to get in."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from tests.app.running import quarry


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", [Document("a", "Renew a loan. 续借。", "Loans")], None)
    return tmp_path / "index"


@contextmanager
def listening(*arguments):
    """Start a command; gives the first line that it prints."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "QUARRY_UI_PASSWORD": "", "QUARRY_TOKEN": ""}
    command = [sys.executable, "-m", "quarry.app.cli", *map(str, arguments), "--port", "0", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(60)


def test_serve_tells_its_address_and_the_token_that_it_made(index):
    pytest.importorskip("fastapi")
    with listening("serve", index, "--host", "0.0.0.0") as told:
        assert told.keys() == {"url", "docs", "token"}
        asked = {"json": {"query": "loan"}, "timeout": 60}
        assert httpx.post(f"{told['url']}/search", **asked).status_code == 401
        headers = {"Authorization": f"Bearer {told['token']}"}
        assert httpx.post(f"{told['url']}/search", headers=headers, **asked).status_code == 200
    with listening("serve", index) as told:
        assert told == {"url": told["url"], "docs": f"{told['url']}/docs"}


def test_ui_and_mcp_tell_theirs(index):
    pytest.importorskip("mcp")
    with listening("ui", index, "--no-browser", "--host", "0.0.0.0") as told:
        assert told.keys() == {"url", "index", "password"}
        assert told["index"] == str(index)
    with listening("mcp", index, "--http") as told:
        assert told.keys() == {"url"}
        assert httpx.post(told["url"], json={}, timeout=60).status_code in (400, 406), "it answers, and wants MCP"
    done = quarry("mcp", index, "--json")
    assert done.returncode == 2
    assert "--json requires --http" in done.stderr
