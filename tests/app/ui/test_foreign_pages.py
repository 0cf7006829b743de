"""A page of another site, in a real browser on the user's machine, against the servers on loopback: nothing is read or changed."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright")
pytest.importorskip("fastapi")

from playwright.sync_api import Error, sync_playwright

from quarry.app.server.settings import ServeOptions
from tests.app.server.serving import served as server
from tests.app.server.serving import small_index
from tests.app.ui.browser import CHROMIUM, served

pytestmark = pytest.mark.slow
ATTACK = """async ({serve, ui}) => {
  const tried = {}
  const note = async (name, act) => { try { tried[name] = await act() } catch (err) { tried[name] = 'error' } }
  const planted = JSON.stringify({documents: [{id: 'planted', text: 'planted by a page'}]})
  const judged = JSON.stringify({query: 'books', action: 'like', chunk_id: 'loans.md#0-60', doc_id: 'loans.md'})
  for (const [path, body] of [['/documents', planted], ['/feedback', judged], ['/search', '{"query": "books"}']])
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded'])
      for (const mode of ['cors', 'no-cors'])
        await note(`${path} ${type} ${mode}`, async () => {
          const answer = await fetch(serve + path, {method: 'POST', mode, body, headers: {'Content-Type': type}})
          return answer.type + ' ' + answer.status
        })
  const form = new FormData()
  form.append('files', new Blob(['planted by a page']), 'planted.txt')
  await note('/documents/files', async () => (await fetch(serve + '/documents/files', {method: 'POST', mode: 'no-cors', body: form})).type)
  await note('read', async () => (await fetch(serve + '/documents')).text())
  await note('beacon', async () => String(navigator.sendBeacon(serve + '/feedback', judged)))
  await note('upload', async () => (await fetch(ui + '/_stcore/upload_file/a/b', {method: 'PUT', mode: 'cors', body: form})).type)
  await note('socket', () => new Promise(done => {
    const socket = new WebSocket(ui.replace('http', 'ws') + '/_stcore/stream')
    socket.onopen = () => done('open')
    socket.onerror = () => done('error')
  }))
  return tried
}"""


@contextmanager
def foreign_site():
    """A web server with one empty page; the browser is told that evil.example is here."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title>")

        def log_message(self, *_):
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield site.server_address[1]
    finally:
        site.shutdown()
        site.server_close()


@contextmanager
def browser_in_which_evil_example_is_here():
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def test_neither_cross_site_requests_nor_a_rebound_name_reach_the_servers(tmp_path):
    index = small_index(tmp_path / "index")
    options = ServeOptions(index, hosts=("127.0.0.1", "localhost", "[::1]"))
    with (
        server(options) as api,
        served(index) as ui,
        foreign_site() as port,
        browser_in_which_evil_example_is_here() as browser,
    ):
        page = browser.new_page()
        for site in (f"http://evil.example:{port}/", f"http://localhost:{port}/"):
            page.goto(site)
            tried = page.evaluate(ATTACK, {"serve": api.url, "ui": ui})
            assert tried.pop("beacon") in ("true", "false")  # whether it was sent, not whether it was obeyed
            opaque = {name for name, found in tried.items() if found.startswith("opaque")}
            assert all("no-cors" in name or name == "/documents/files" for name in opaque)
            assert {found for name, found in tried.items() if name not in opaque} == {"error"}, tried
        for url in (api.url, ui):  # the name now leads to the server itself
            rebound = f"http://evil.example:{urlsplit(url).port}/"
            try:
                page.goto(rebound)
            except Error:
                continue
            assert "Quarry" not in page.content().replace("quarry ui", "")
            assert page.evaluate("fetch('/documents').then(answer => answer.status)") in (403, 404, 421)
            assert "error" in page.evaluate(ATTACK, {"serve": rebound[:-1], "ui": rebound[:-1]})["socket"]
        assert api.services.inbox.waiting() == 0
        assert len(api.services.feedback) == 0
        assert api.client.get("/documents").json()["total"] == 3


def test_without_the_password_nothing_is_uploaded_and_no_metrics_are_read(tmp_path):
    index = small_index(tmp_path / "index")
    with served(index, QUARRY_UI_PASSWORD="correct horse") as ui:
        for method, path in (("PUT", "/_stcore/upload_file/session/file"), ("GET", "/_stcore/metrics")):
            request = urllib.request.Request(ui + path, data=b"x" if method == "PUT" else None, method=method)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=30)
            assert refused.value.code == 403


def test_settings_in_the_current_folder_do_not_open_the_app(tmp_path, monkeypatch):
    index, here = small_index(tmp_path / "index"), tmp_path / "here"
    (here / ".streamlit").mkdir(parents=True)
    (here / ".streamlit" / "config.toml").write_text(
        "[server]\nenableCORS=false\nenableXsrfProtection=false\nenableAgentApi=true\n"
        'corsAllowedOrigins=["http://evil.example"]\nallowedHosts=["*"]\n'
    )
    monkeypatch.chdir(here)
    with served(index) as ui:
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            request = urllib.request.Request(
                f"{ui}/_stcore/agent/interact",
                json.dumps({}).encode(),
                {"Content-Type": "application/json", **headers},
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=30)
            assert refused.value.code == 403
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            assert handshake(ui, **headers) == 403
        assert handshake(ui) == 101


def handshake(url, **headers):
    """Ask for the app's WebSocket; returns the status."""
    import http.client

    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    common = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    connection.request(
        "GET", "/_stcore/stream", headers=common | {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} | headers
    )
    try:
        return connection.getresponse().status
    finally:
        connection.close()
