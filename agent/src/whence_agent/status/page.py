"""The status as an HTML page: the state first, then what to do, then the details."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_COLOURS = {"ok": "#1a7f37", "degraded": "#9a6700", "failed": "#cf222e", "booting": "#0969da"}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328}"
    "h1{color:#fff;padding:.4rem .8rem;border-radius:.4rem}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;border-bottom:1px solid #d1d9e0}"
    "code{overflow-wrap:anywhere}th{white-space:nowrap}"
)


def render_page(status: Mapping[str, Any]) -> str:
    """Render the status document as one HTML page; all values are escaped."""
    state = str(status["state"])
    application = status["application"] or {}
    name = escape(f"{application.get('id', 'no application yet')} {application.get('version', '')}")
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<meta http-equiv=refresh content=5><title>{escape(state)}: {name}</title><style>{_STYLE}</style>",
        f"<h1 style='background:{_COLOURS[state]}'>{escape(state)}</h1>",
        f"<p><b>{name}</b></p>",
        *(f"<p>{escape(str(reason))}</p>" for reason in status["reasons"]),
        f"<p><b>What to do:</b> {escape(str(status['what_to_do']))}</p>",
        _problems(status["problems"]),
        _table("Stages", [(s["name"], f"{s['outcome']} {s['seconds']} s {s['reason']}") for s in status["stages"]]),
        _table(
            "Drift", [(one["kind"], f"{one['container']} {one['detail']} ×{one['count']}") for one in status["drift"]]
        ),
        _table("Sidecars", [(one["name"], f"{one['state']} {one['image_digest']}") for one in status["sidecars"]]),
        *(
            _table(title, sorted((status[key] or {}).items()))
            for title, key in (
                ("Instance", "instance"),
                ("Image", "image"),
                ("Container", "container"),
                ("Credentials", "credentials"),
                ("Statements", "statements"),
            )
        ),
        "</html>",
    ]
    return "\n".join(part for part in parts if part)


def _problems(problems: list[Mapping[str, Any]]) -> str:
    rows = [
        (
            f"{problem['severity']} at {problem['line']}:{problem['column']}",
            f"{problem['message']} [{problem['code']}] {problem['fix']}",
        )
        for problem in problems
    ]
    return _table("Problems", rows)


def _table(title: str, rows: list[tuple[str, Any]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><th>{escape(str(name))}</th><td><code>{escape('' if value is None else str(value))}</code></td></tr>"
        for name, value in rows
    )
    return f"<h2>{escape(title)}</h2><table>{cells}</table>"
