"""A real HTTP server that speaks as an OpenAI-compatible endpoint: it says what a test tells it to, in every broken way."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from quarry.retriever.answers.packing import Packed


def event(text, finish=None):
    return "data: " + json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish}]}) + "\n\n"


def stream_of(text, size=7):
    """Return the events of a whole, well-formed stream."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [
        "data: " + json.dumps({"choices": [{"delta": {"role": "assistant"}}]}) + "\n\n",
        *map(event, pieces),
        event("", "stop"),
        "data: [DONE]\n\n",
    ]


class Gullible:
    """Answers requests in turn with `(status, content type, chunks, headers)`; the last one is repeated.

    A chunk is text, bytes, or a number of seconds to wait.
    """

    def __init__(self):
        self.answers, self.requests = [], []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"
                server.requests.append((self.path, dict(self.headers), json.loads(body)))
                status, kind, chunks, headers = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for chunk in chunks:
                        if isinstance(chunk, (int, float)):
                            time.sleep(chunk)
                            continue
                        self.wfile.write(chunk if isinstance(chunk, bytes) else chunk.encode())
                        self.wfile.flush()
                except OSError:
                    pass

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=lambda: self.http.serve_forever(0.02), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def says(self, text):
        self.answers = [(200, "text/event-stream", stream_of(text), {})]

    def sends(self, *chunks, status=200, kind="text/event-stream", **headers):
        self.answers = [(status, kind, chunks, {name.replace("_", "-"): value for name, value in headers.items()})]

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def passage(number, text, title="Loans", path="loans.md", **changes):
    return Packed(number, f"d{number}", title, path, text, (f"d{number}#0-{len(text)}",), 1.0, end=len(text), **changes)


EN = passage(1, "Books may be renewed twice online. Fines are 0.50 euro a day; see rule SKU-6678.")
ZH = passage(1, "图书可以在网上续借两次。逾期每天罚款五角，见规则 SKU-6678。", "借阅规则", "借阅.md")
