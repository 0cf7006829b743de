"""A hub for data sets on loopback: the routes of huggingface's API that `datasets` asks, over a folder of files."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

SHA = "b" * 40


class LocalHub(ThreadingHTTPServer):
    """Serves FOLDER/ORGANIZATION/NAME as data sets of every revision; `stalls` holds back all answers but the first probe."""

    daemon_threads = True

    def __init__(self, folder: Path, *, stalls: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.stalls, self.asked = folder, stalls, []
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address) -> None:
        """A client that gave up is not of interest."""


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub

    def log_message(self, *args) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self._answer(body)

    def do_GET(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        if self.server.stalls and self.server.stalls in path:
            self.server.over.wait(120)
            return
        parts = path.strip("/").split("/")
        if path == "/":
            self._send(b"")
        elif parts[:2] == ["api", "datasets"]:
            self._api(parts[2:], body)
        elif parts[0] == "datasets" and "resolve" in parts:
            place = parts.index("resolve")
            self._file(self.server.folder.joinpath(*parts[1:place], *parts[place + 2 :]))
        else:
            self.send_error(404)

    def _api(self, parts: list[str], body: bytes) -> None:
        root = self.server.folder.joinpath(*parts[:2])
        if not root.is_dir():
            self.send_error(404)
            return
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        names = [path.relative_to(root).as_posix() for path in files]
        route = parts[2] if len(parts) > 2 else ""
        if route == "tree":
            below = "/".join(parts[4:])
            self._json([_entry(root, name) for name in names if name.startswith(below)])
        elif route == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else []
            self._json([_entry(root, name) for name in names if name in wanted])
        else:
            found = {
                "id": "/".join(parts[:2]),
                "sha": SHA,
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
            }
            self._json({**found, "downloads": 0, "likes": 0, "siblings": [{"rfilename": name} for name in names]})

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(path.read_bytes(), ETag=f'"{_digest(path)}"')

    def _json(self, content) -> None:
        self._send(json.dumps(content).encode(), **{"Content-Type": "application/json"})

    def _send(self, content: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(content)), "X-Repo-Commit": SHA, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _entry(root: Path, name: str) -> dict[str, object]:
    path = root / name
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": _digest(path)}


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
