"""What `whence login` needs to know about an issuer; the server publishes it without authentication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandClient:
    """The OAuth client of the `whence` command at an issuer: a public client, without a secret."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    resource: str = ""
    """The resource indicator (RFC 8707) of this server; empty sends none."""
    prompt: str = ""
    redirect_port: int = 0
    """The port of the redirect URI; 0 is any free port (RFC 8252, 7.3)."""

    def to_wire(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer, "client_id": self.client_id, "scopes": list(self.scopes),
            "resource": self.resource or None, "prompt": self.prompt or None, "redirect_port": self.redirect_port,
        }  # fmt: skip
