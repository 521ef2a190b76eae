"""Whether a browser can be opened here, and opening it."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Mapping
from typing import Literal

from whence_aggregator.openid.metadata import ProviderMetadata
from whence_common.errors import RoadError

Way = Literal["browser", "no-browser", "device"]
"""Sign in with a browser that the command opens, with one that the person opens on this machine, or on any machine."""


def choose_way(wanted: Way | None, metadata: ProviderMetadata, *, opens: bool) -> Way:
    """Return the way to sign in: the wanted one, or the best that provider and machine offer. Raises RoadError.

    `opens` states whether a browser can be opened here.
    """
    if wanted is not None:
        return wanted
    if opens and metadata.authorization_endpoint is not None:
        return "browser"
    if metadata.device_authorization_endpoint is not None:
        return "device"
    if metadata.authorization_endpoint is not None:
        return "no-browser"
    message = f"{metadata.issuer} offers neither sign-in by browser nor by device"
    raise RoadError("sign-in-impossible", message, fix="set WHENCE_TOKEN", retryable=False)


def opens_browser(environment: Mapping[str, str], platform: str) -> bool:
    """Return whether a browser with windows can be expected: not on a server, and not in a session over SSH.

    A browser of the terminal (lynx) would hide the command's output, so it is opened only if BROWSER names it.
    """
    if environment.get("BROWSER"):
        return True
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return False
    return platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_browser(url: str) -> None:
    """Open a URL, in a thread: some browsers return only when their window is closed."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
