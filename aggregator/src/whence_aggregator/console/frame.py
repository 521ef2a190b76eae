"""Renders pages by templates. All values are escaped, and no invisible character changes how a page reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from whence_aggregator.console.amounts import concerned
from whence_aggregator.console.link_words import person_of
from whence_aggregator.console.page import Visitor, WebPage
from whence_common.clock import to_instant
from whence_common.visible import printable

_SINGLE = ("style.css", "icon.svg")
_SCRIPTS = (
    "bundles.js", "bytes.js", "life.js", "live.js", "merkle.js", "notes.js", "receipts.js", "verify-page.js",
    "verify.js", "zone.js",
)  # fmt: skip
_ASSET_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_LINK_CHARACTERS_MAX = 2000


class Asset:
    """A file that pages refer to by a digest, so that browsers may keep it for ever.

    Scripts import each other by their names, so all are below the digest of all.
    """

    def __init__(self, name: str, below: str) -> None:
        self.content = _content(name)
        self.path = f"/console/assets/{below[:16]}/{name}"
        self.type = _ASSET_TYPES[name.rpartition(".")[2]]


def _content(name: str) -> bytes:
    return (resources.files("whence_aggregator.console") / "assets" / name).read_bytes()


def _digest(*names: str) -> str:
    return sha256(b"".join(sha256(_content(name)).digest() for name in names)).hexdigest()


ASSETS: Mapping[str, Asset] = {
    **{name: Asset(name, _digest(name)) for name in _SINGLE},
    **{name: Asset(name, _digest(*_SCRIPTS)) for name in _SCRIPTS},
}


def here(path: str, /, **parameters: str | None) -> str:
    """Return the address of a page of the console, with its path quoted; parameters that are None are left out.

    Parts that `part` has quoted are not quoted again.
    """
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"/console{quote(path, safe='/%')}" + (f"?{query}" if query else "")


def part(text: str) -> str:
    """Return a text as one part of a path, in which a slash does not separate parts."""
    return quote(str(text), safe="")


def outside(url: object) -> str | None:
    """Return a URL from outside if a link may lead there: http or https, and not overlong; otherwise None."""
    text = str(url)
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    fine = parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable()
    return text if fine and len(text) <= _LINK_CHARACTERS_MAX else None


def time(instant: object) -> Markup:
    """Return an instant (RFC 3339) as an element `time`, in UTC; a text that is not an instant is shown as it is."""
    text = str(instant)
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return Markup("{}").format(printable(text))
    utc = when.strftime("%Y-%m-%d %H:%M:%S UTC")
    shown = when.strftime("%d %b %Y %H:%M:%S")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(to_instant(when), utc, shown)


def number(value: object) -> str:
    """Return a whole number with commas between thousands."""
    return f"{value:,}" if isinstance(value, int) else printable(value)


def plain(value: object) -> str:
    """Return a value of a document as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(inner)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return "; ".join(map(plain, value)) or "none"
    return "none" if value is None else str(value)


def digest(text: object) -> Markup:
    """Return a digest as an element that holds it whole, and shows its beginning."""
    algorithm, colon, rest = str(text).partition(":")
    if not colon:
        algorithm, rest = "", str(text)
    return Markup('<span class="digest"><span class="alg">{}</span>{}</span>').format(
        printable(algorithm) + colon, printable(rest)
    )


def _finished(value: Any) -> Any:
    """Show no character that hides or reorders text: line breaks stay, for code."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "\n".join(printable(line) for line in value.split("\n"))


def _concerned(violation: Mapping[str, Any]) -> str:
    return concerned(violation["members"], violation["not_confirmed"])


class Frame:
    """Renders the pages of one console. `ledger_size` and the like come with each page's values."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("whence_aggregator.console", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_finished,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "time": time,
            "number": number,
            "digest": digest,
            "outside": outside,
            "part": part,
            "plain": plain,
            "person": person_of,
            "concerned": _concerned,
        }
        self._templates.globals |= {"here": here, "asset": {name: one.path for name, one in ASSETS.items()}}

    def render(self, page: WebPage, *, visitor: Visitor | None, csrf: str, address: str) -> str:
        """Return a page as HTML. `address` is its own, with the query; `csrf` goes into every form."""
        template = self._templates.get_template(page.template)
        return template.render(
            **page.values, title=page.title, section=page.section, visitor=visitor, csrf=csrf, address=address
        )
