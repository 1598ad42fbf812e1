"""The page at ``/docs``: the OpenAPI document for people, in one file that loads nothing."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from serving.http_api.openapi import OPERATIONS, Operation

__all__ = ["docs_page"]


_STYLE = """
:root{--ink:#1d2430;--soft:#5b6576;--line:#dde2ea;--paper:#fff;--wash:#f5f7fa;--accent:#0b6e4f;--post:#8a4b08}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b5;--line:#333c4a;--paper:#161b22;--wash:#1f2630;
--accent:#5fd0a5;--post:#f0b46a}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 80px}h1{font-size:30px;margin:0 0 4px}h2{margin:0;font-size:19px}
h3{font-size:13px;text-transform:uppercase;letter-spacing:.06em;color:var(--soft);margin:20px 0 6px}
p{margin:8px 0;max-width:76ch}.lead{color:var(--soft);font-size:18px}a{color:var(--accent)}
code,pre{font:13.5px/1.5 ui-monospace,Menlo,Consolas,monospace}
pre{background:var(--wash);border:1px solid var(--line);border-radius:6px;padding:12px 14px;overflow-x:auto;
margin:6px 0;max-height:680px}
section{border:1px solid var(--line);border-radius:8px;margin:22px 0;padding:18px 22px}
.route{display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}.route code{font-size:17px;font-weight:600}
.verb{font:700 12px/1 ui-monospace,monospace;padding:5px 8px;border-radius:4px;border:1px solid currentColor;
color:var(--accent)}.post{color:var(--post)}.two{display:grid;grid-template-columns:1fr 1fr;gap:0 22px}
.two>div{min-width:0}@media(max-width:820px){.two{grid-template-columns:1fr}}
table{border-collapse:collapse;width:100%;font-size:14.5px}th,td{text-align:left;padding:6px 10px 6px 0;
vertical-align:top;
border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:600}td:first-child{white-space:nowrap}
.name{text-transform:none;letter-spacing:0;font-size:15px}nav{display:flex;flex-wrap:wrap;gap:6px 18px;margin:18px 0}
"""


def docs_page(document: Mapping[str, Any], *, address: str) -> str:
    """HTML of the document; ``address`` is where its examples send their requests."""
    info = document["info"]
    links = "".join(
        f'<a href="#{_anchor(one)}"><code>{one.method.upper()} {escape(one.path)}</code></a>' for one in OPERATIONS
    )
    sections = "".join(_section(one, document, address) for one in OPERATIONS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Bellwether API</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(info['title'])}</h1>"
        f'<p class="lead">{escape(info["description"])}</p>'
        "<p>When the service has keys, send one with every request but <code>/livez</code> and <code>/readyz</code>: "
        "<code>Authorization: Bearer KEY</code>. Every error is <code>application/problem+json</code> of one shape, "
        "shown at the end; only what is no HTTP at all is answered <code>400</code> in plain text. Every answer "
        "carries <code>X-Request-Id</code>: your own when you send one of 8 to 64 letters, digits, <code>.</code>, "
        "<code>_</code> or <code>-</code>. Name it when you ask for help. "
        'The same in a form for machines: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<nav>{links}</nav>{sections}{_problem_section(document)}</main></body></html>"
    )


def _section(operation: Operation, document: Mapping[str, Any], address: str) -> str:
    described = document["paths"][operation.path][operation.method]
    verb, path, summary = operation.method, escape(operation.path), escape(operation.summary)
    parts = [
        f'<section id="{_anchor(operation)}"><div class="route"><span class="verb {verb}">{verb.upper()}</span>',
        f"<code>{path}</code><h2>{summary}</h2></div><p>{_prose(operation.description)}</p>",
    ]
    if parameters := described.get("parameters"):
        rows = [(one["name"], _kind(one["schema"], document), one["description"]) for one in parameters]
        parts.append(f"<h3>Query</h3>{_table(rows)}")
    if operation.request is not None and operation.response_example is not None:
        parts.append(f"<h3>Body</h3>{_table(_fields(operation.request.__name__, document))}")
    if operation.path.startswith("/v1") or operation.is_open:
        parts.append(f"<h3>Try it</h3><pre>{escape(_curl(operation, address))}</pre>")
    if operation.response_example is not None:
        shown = [("Response", operation.response_example)]
        if operation.request_example is not None:
            shown.insert(0, ("Request", operation.request_example))
        blocks = "".join(
            f"<div><h3>{title}</h3><pre>{escape(json.dumps(value, indent=2))}</pre></div>" for title, value in shown
        )
        parts.append(f'<div class="two">{blocks}</div>' if len(shown) > 1 else blocks)
    if not isinstance(operation.returns, str) and operation.path.startswith("/v1"):
        for name in _reached(operation.returns.__name__, document):
            about = document["components"]["schemas"][name].get("description", "")
            parts.append(f"<h3 class='name'>{escape(name)}</h3><p>{_prose(about)}</p>{_table(_fields(name, document))}")
    if operation.problems:
        codes = ", ".join(
            f"<code>{status}</code> {escape(described['responses'][str(status)]['description'])}"
            for status in operation.problems
        )
        parts.append(f"<h3>Errors</h3><p>{codes}</p>")
    return "".join(parts) + "</section>"


def _problem_section(document: Mapping[str, Any]) -> str:
    example = {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "1 place in the body cannot be used. See /docs for what fits.",
        "request_id": "0f8d1c2e9b7a4f0b9f3c5d6e7a8b9c0d",
        "errors": [{"where": "/account_ids", "what": "List should have at least 1 item after validation, not 0"}],
    }
    return (
        '<section id="problem"><h2>Errors</h2><p>One shape, whatever went wrong. It never repeats what was sent.</p>'
        f"{_table(_fields('Problem', document))}<pre>{escape(json.dumps(example, indent=2))}</pre></section>"
    )


def _curl(operation: Operation, address: str) -> str:
    url = f"{address}{operation.path}{operation.query_example}"
    if operation.request_example is None:
        return f"curl -s '{url}'"
    body = json.dumps(operation.request_example)
    return f"curl -s {url} \\\n  -H 'content-type: application/json' \\\n  -d '{body}'"


def _fields(name: str, document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    schema = document["components"]["schemas"][name]
    required = set(schema.get("required", ()))
    return [
        (
            field,
            _kind(described, document) + ("" if field in required else ", may be left out"),
            described.get("description", ""),
        )
        for field, described in schema.get("properties", {}).items()
    ]


def _reached(name: str, document: Mapping[str, Any]) -> Iterator[str]:
    """A schema and those it refers to that have fields, each once, outermost first."""
    schemas, waiting, seen = document["components"]["schemas"], [name], set()
    while waiting:
        current = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        if "properties" in schemas[current]:
            yield current
        waiting += _references(schemas[current])


def _references(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        own = [value["$ref"].rsplit("/", 1)[-1]] if "$ref" in value else []
        return own + [name for item in value.values() for name in _references(item)]
    return [name for item in value for name in _references(item)] if isinstance(value, list) else []


def _kind(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """A JSON type in plain words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        referred = document["components"]["schemas"][name]
        return _kind(referred, document) if "enum" in referred else name
    if "enum" in schema or "const" in schema:
        return " or ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(_kind(one, document) for one in schema["anyOf"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}), document)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"{_kind(schema['additionalProperties'], document)} by name"
    return "time" if schema.get("format") == "date-time" else str(kind)


def _table(rows: list[tuple[str, str, str]]) -> str:
    body = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{_prose(text)}</td></tr>"
        for name, kind, text in rows
    )
    return f"<table><tr><th>Name</th><th>Type</th><th>Meaning</th></tr>{body}</table>"


def _prose(text: str) -> str:
    """Escaped text in which `` `code` `` is code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces))


def _anchor(operation: Operation) -> str:
    return f"{operation.method}{operation.path.replace('/', '-').replace('.', '-')}"
