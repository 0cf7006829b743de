"""Two pages for people who open the server in a browser: what it is, and what it understands. No script, nothing from elsewhere.

They are made of the description of the API alone and say nothing of the index, so they need no token.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from json import dumps
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

OPEN_PATHS = frozenset({"/", "/docs"})
_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "h2{margin-top:2.5rem}code,pre{font:14px/1.5 ui-monospace,monospace}pre{overflow:auto;padding:.75rem;border:1px solid #8888;"
    "border-radius:6px}details{border-top:1px solid #8886;padding:.5rem 0}summary{cursor:pointer}table{border-collapse:collapse;"
    "display:block;overflow:auto}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
    ".method{display:inline-block;min-width:4.5rem;font-weight:600}"
)
_POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_LINKS = {
    "docs": "/docs",
    "description": "/openapi.json",
    "health": "/health",
    "models": "/v1/models",
}
_SAID = {
    "docs": "what every path takes and answers",
    "description": "the same for programs (OpenAPI)",
    "health": "whether everything works, and from which generation it answers",
    "models": "names for OpenAI's, Cohere's and Jina's clients",
}


def register(app: FastAPI) -> None:
    """Add the pages."""
    app.add_api_route("/", home, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)


def home(request: Request) -> Response:
    """Say what this is: a page for a browser, JSON for programs."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"name": "Quarry", "version": request.app.version, **_LINKS}, headers=HEADERS)
    links = "".join(f"<li><a href='{path}'>{path}</a>: {_SAID[name]}</li>" for name, path in _LINKS.items())
    url = escape(str(request.base_url).rstrip("/"), quote=True)
    body = (
        f"<h1>Quarry {escape(request.app.version)}</h1><p>An index of documents, served to programs. People search with "
        f"<code>quarry ui</code>.</p><ul>{links}</ul><h2>Ask</h2><pre>curl {url}/search -H 'Content-Type: application/json' "
        '-d \'{"query": "how do I renew a book?", "k": 3}\'</pre>'
        f"<p>Chat programs that speak OpenAI's API take <code>{url}/v1</code> as base URL: the index answers as a model, with "
        "citations.</p>"
    )
    return _page("Quarry", body)


def docs(request: Request) -> Response:
    """Show what every path takes and answers."""
    described: dict[str, Any] = request.app.openapi()
    groups: dict[str, list[str]] = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(path, method, operation, described))
    intro = (
        "<p>Errors are JSON too: what was found, what was expected, what to do. With a token, send "
        "<code>Authorization: Bearer TOKEN</code>. For programs: <a href='/openapi.json'>/openapi.json</a>.</p>"
    )
    body = "".join(f"<h2>{escape(tag.capitalize())}</h2>{''.join(shown)}" for tag, shown in groups.items())
    return _page("Quarry: HTTP API", f"<h1>HTTP API</h1>{intro}{body}")


def _page(title: str, body: str) -> HTMLResponse:
    head = (
        f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style>"
    )
    return HTMLResponse(
        f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>", headers=HEADERS
    )


def _operation(path: str, method: str, operation: dict[str, Any], described: dict[str, Any]) -> str:
    text = operation.get("description", "")
    about = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)
    rows = [
        _row(each["name"], each.get("schema", {}), each.get("description", ""), required=each.get("required", False))
        for each in operation.get("parameters", ())
    ]
    content = operation.get("requestBody", {}).get("content", {})
    for kind, body in content.items():
        rows += [
            f"<tr><td colspan='3'>{escape(kind)}</td></tr>",
            *_fields(body.get("schema", {}), described, asked=True),
        ]
    answers = [
        _fields(body.get("schema", {}), described, asked=False)
        for status, answer in operation.get("responses", {}).items()
        if status.startswith("2")
        for body in answer.get("content", {}).values()
    ]
    shown = [_table("Takes", rows), *(_table("Answers", fields) for fields in answers)]
    summary = f"<span class='method'>{escape(method.upper())}</span><code>{escape(path)}</code>"
    return f"<details><summary>{summary}</summary>{about}{''.join(shown)}</details>"


def _table(title: str, rows: list[str]) -> str:
    return f"<h4>{title}</h4><table>{''.join(rows)}</table>" if rows else ""


def _fields(schema: dict[str, Any], described: dict[str, Any], *, asked: bool) -> list[str]:
    """Rows of an object's fields; of each object where there are several to choose from."""
    schema = _followed(schema, described)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return [row for each in schema[several] for row in _fields(each, described, asked=asked)]
    required = schema.get("required", ()) if asked else ()
    return [
        _row(name, field, field.get("description", ""), required=name in required)
        for name, field in schema.get("properties", {}).items()
    ]


def _followed(schema: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = described["components"]["schemas"][name] if name else schema
    return found


def _row(name: str, field: dict[str, Any], text: str, *, required: bool) -> str:
    usual = f" = {dumps(field['default'])}" if field.get("default") is not None else ""
    said = text + (" Required." if required else "")
    return f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(field) + usual)}</td><td>{escape(said.strip())}</td></tr>"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    for several in ("anyOf", "oneOf"):
        if several in field:
            return " or ".join(dict.fromkeys(_type(each) for each in field[several] if each.get("type") != "null"))
    if "enum" in field:
        return ", ".join(str(each) for each in field["enum"])
    if "const" in field:
        return str(field["const"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "any"))
