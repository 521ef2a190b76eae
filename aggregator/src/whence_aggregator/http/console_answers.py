"""What every answer of the console has: its headers, its cookie, and where a browser may be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

from aiohttp import hdrs, web

from whence_aggregator.callers.browser_sessions import BrowserSession
from whence_aggregator.console.page import SavedFile
from whence_aggregator.ports import Forbidden

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OF_FILES = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
"""Of files: a browser that shows one all the same treats it as a page of an origin of its own, without scripts."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS_MAX = 100
_ADDRESS_CHARACTERS_MAX = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAddress:
    """The address that browsers use, such as https://whence.example.org: https, or http on loopback."""

    origin: str

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https://")

    @property
    def cookie(self) -> str:
        """Return the cookie's name; browsers accept __Host- over https only, for this host and all paths."""
        return "__Host-whence" if self.is_secure else "whence"

    def check_same_origin(self, request: web.Request) -> None:
        """Raise Forbidden if another site sends this form, or if the browser does not state which site does."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin != self.origin or request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise Forbidden(
                "origin-foreign", f"the form was sent from {origin or 'an unknown site'}, not from {self.origin}",
                fix=f"open the console at {self.origin}/console/ and send the form there",
            )  # fmt: skip

    def held(self, request: web.Request) -> str:
        """Return the secret that the browser holds; empty if it holds none."""
        return request.cookies.get(self.cookie, "")

    def hand(self, response: web.StreamResponse, session: BrowserSession, now: datetime) -> None:
        """Have the browser hold a session's secret, until the session ends."""
        response.set_cookie(
            self.cookie, session.secret, max_age=max(1, int((session.until - now).total_seconds())), path="/",
            httponly=True, samesite="Lax", secure=self.is_secure,
        )  # fmt: skip

    def forget(self, response: web.StreamResponse) -> None:
        """Have the browser forget its secret."""
        response.del_cookie(self.cookie, path="/", httponly=True, samesite="Lax", secure=self.is_secure)


def html(text: str, *, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)


def save_headers(name: str) -> Mapping[str, str]:
    """Return the headers with which a browser saves an answer under a name, and does not show it."""
    plain = _NOT_IN_NAMES.sub("-", name).strip(".-")[-_NAME_CHARACTERS_MAX:] or "file"
    return {
        **HEADERS,
        "Content-Security-Policy": _OF_FILES,
        "Content-Disposition": f'attachment; filename="{plain}"',
    }


def saved(file: SavedFile) -> web.Response:
    headers = save_headers(file.name)
    return web.Response(body=file.content, content_type=file.media_type, charset="utf-8", headers=headers)


def elsewhere(path: str) -> web.Response:
    """Send the browser to another page, which it GETs."""
    return web.Response(status=303, headers={**HEADERS, "Location": path})


def inside_only(address: str) -> str:
    """Return an address if it is a page of this console, otherwise that of the overview."""
    parts = urlsplit(address)
    is_page = parts.path.startswith("/console/") and not parts.scheme and not parts.netloc
    plain = address.isascii() and address.isprintable() and "\\" not in address and "//" not in parts.path
    leaves = any(unquote(one) in (".", "..") for one in parts.path.split("/"))
    is_fine = is_page and plain and not leaves and len(address) <= _ADDRESS_CHARACTERS_MAX
    return address if is_fine else "/console/"
