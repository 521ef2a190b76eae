"""The status as an HTML page, styled as the console: the state first, then why and what to do, then the details."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from whence_common.visible import printable

_STYLE = (resources.files("whence_agent.status") / "style.css").read_text(encoding="utf-8")
_SIGNS = {
    "ok": '<circle cx="10" cy="10" r="9" fill="currentColor"/><path d="M5.5 10.5l3 3 6-7" fill="none" '
    'stroke="var(--bg)" stroke-width="2.2"/>',
    "failed": '<path d="M10 0l10 10-10 10L0 10z" fill="currentColor"/><path d="M6.7 6.7l6.6 6.6M13.3 6.7l-6.6 6.6" '
    'fill="none" stroke="var(--bg)" stroke-width="2.2"/>',
    "degraded": '<path d="M2 2h16v16H2z" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="4 3.1"/>',
    "booting": '<circle cx="10" cy="10" r="8" fill="none" stroke="currentColor" stroke-width="2"/>'
    '<circle cx="10" cy="10" r="3" fill="currentColor"/>',
}
"""Shapes by state: no state is shown by colour alone."""
_TABLES = (("Instance", "instance"), ("Image", "image"), ("Container", "container"), ("Credentials", "credentials"),
           ("Statements", "statements"))  # fmt: skip


def render_page(status: Mapping[str, Any]) -> str:
    """Render the status document as one HTML page; all values are escaped."""
    state = str(status["state"])
    name = _name(status["application"])
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<meta http-equiv=refresh content=5><title>{_text(state)}: {name}</title><style>{_STYLE}</style>",
        f"<h1 class={state}><svg viewBox='0 0 20 20' aria-hidden=true>{_SIGNS[state]}</svg>"
        f"<span>{name}: {_text(state)}</span></h1>",
        *(f"<p>{_text(reason)}</p>" for reason in status["reasons"]),
        f"<p class=do><b>What to do:</b> {_text(status['what_to_do'])}</p>",
        _problems(status["problems"]),
        _table("Stages", ((one["name"], _stage(one)) for one in status["stages"])),
        _table("Drift", ((one["kind"], _drift(one)) for one in status["drift"])),
        _table("Sidecars", ((one["name"], _words(one["state"], one["image_digest"])) for one in status["sidecars"])),
        *(_table(title, sorted((status[key] or {}).items())) for title, key in _TABLES),
        f"<p class=quiet>whence-agent {_text(status['agent_version'])}, since {_text(status['started_at'])}</p></html>",
    ]
    return "\n".join(part for part in parts if part)


def _name(application: Mapping[str, str] | None) -> str:
    """Return what the instance runs, or shall run."""
    if application is None:
        return "the application is not known yet"
    return _text(_words(application["id"], application["version"]))


def _problems(problems: Sequence[Mapping[str, Any]]) -> str:
    return "<h2>Problems</h2>" + "".join(map(_problem, problems)) if problems else ""


def _problem(problem: Mapping[str, Any]) -> str:
    """Return one problem: its place, what is wrong, the line, what to do, and the code."""
    place = f" in line {problem['line']}, column {problem['column']}" if problem["line"] else ""
    parts = [
        f"<p><b>{_text(str(problem['severity']).capitalize())}{place}:</b> {_text(problem['message'])}</p>",
        f"<pre>{_text(problem['quote'])}</pre>" if problem.get("quote") else "",
        f"<p class=do>{_text(problem['fix'])}</p>" if problem["fix"] else "",
        f"<p class=quiet><code>{_text(problem['code'])}</code></p>",
    ]
    return f"<div class=problem>{''.join(parts)}</div>"


def _stage(stage: Mapping[str, Any]) -> str:
    took = f"{stage['seconds']} s" if stage["seconds"] else ""
    return _words(stage["outcome"], took, stage["reason"])


def _drift(drift: Mapping[str, Any]) -> str:
    return _words(drift["container"], drift["detail"], f"{drift['count']} times" if drift["count"] != 1 else "")


def _table(title: str, rows: Iterable[tuple[str, Any]]) -> str:
    """Return a table of the rows that have a value."""
    cells = "".join(
        f"<tr><th scope=row>{_text(str(name).replace('_', ' '))}</th><td><code>{_text(shown)}</code></td></tr>"
        for name, shown in ((name, _shown(value)) for name, value in rows)
        if shown
    )
    return f"<h2>{_text(title)}</h2><table>{cells}</table>" if cells else ""


def _shown(value: Any) -> str:
    """Return a value as people write it; empty for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(inner)}" for name, inner in value.items() if _shown(inner))
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(_shown, value)))
    return "" if value is None else str(value)


def _words(*texts: object) -> str:
    return " ".join(str(text) for text in texts if text not in (None, ""))


def _text(text: object) -> str:
    """Return text that is safe in HTML and shows each of its characters."""
    return escape(printable(text))
