"""A user's browser, as a program that `BROWSER` names: it opens a URL and runs what zign's redirect page would.

It follows the authorization server's redirect, to which a browser sends no fragment, and then does what the page that
is returned there does: it opens the same address with the fragment as query.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import IO
from urllib.parse import urldefrag

_SECONDS_MAX = 20.0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: `urllib` would drop the fragment."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def opened(url: str) -> tuple[str, str]:
    """Open a URL; return the address it redirects to, or an empty text, and its body."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Redirects())
    try:
        with opener.open(url, timeout=_SECONDS_MAX) as answer:
            return "", answer.read().decode()
    except urllib.error.HTTPError as exc:
        return str(exc.headers.get("Location", "")), ""


def main(url: str) -> int:
    """Sign in at the authorization server and hand its token to the program that waits for it."""
    location, _ = opened(url)
    if not location:
        return 1
    address, fragment = urldefrag(location)
    _, page = opened(f"{address}/")
    if "window.location.hash" not in page:
        return 1
    _, page = opened(f"{address}/?{fragment}")
    return 0 if "Authentication Successful" in page else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
