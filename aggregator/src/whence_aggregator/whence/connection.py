"""The aggregator that the command talks to, and with which token: --token-file, WHENCE_TOKEN, or that of a sign-in."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from whence_aggregator.openid.metadata import is_loopback
from whence_aggregator.openid.tokens import Tokens
from whence_aggregator.whence.client import Client, trusting
from whence_aggregator.whence.login.cache import TerminalSession, TokenCache, folder_of
from whence_aggregator.whence.login.provider import IdentityProvider
from whence_aggregator.whence.login.session import SignedIn
from whence_aggregator.whence.output import USAGE, end
from whence_common.errors import InputError, WhenceError

CONNECTION = "whence.connection"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorAccess:
    """An aggregator's address, the CA file to trust, and the profile of sign-ins."""

    url: str
    ca_file: str | None
    profile: str

    def client(self, token_file: str | None) -> Client:
        """Return the client for queries; ends the command if an option is invalid."""
        try:
            token = Path(token_file).read_text("ascii").strip() if token_file else os.environ.get("WHENCE_TOKEN")
            return Client(url=self.url, token=token, ca_file=self.ca_file, signed_in=self._signed_in())
        except (OSError, ValueError) as exc:
            end(f"{token_file} cannot be read: {exc}", USAGE)
        except WhenceError as exc:
            end(exc.diagnostics(), USAGE)

    def client_with(self, token: str | None) -> Client:
        """Return a client with this token, or with none. Raises InputError."""
        return Client(url=self.url, token=token, ca_file=self.ca_file)

    def provider(self, issuer: str) -> IdentityProvider:
        """Return an identity provider, which --ca-file applies to as well. Raises InputError."""
        return IdentityProvider(issuer, context=trusting(self.ca_file))

    def refresh(self, session: TerminalSession) -> Tokens:
        """Use the refresh token of a sign-in. Raises RoadError."""
        provider = self.provider(session.issuer)
        assert session.refresh_token is not None, "the caller checks it"
        return provider.refresh(provider.metadata(), session.client_id, session.resource, session.refresh_token)

    def cache(self) -> TokenCache | None:
        """Return the place of the sign-in's tokens; None if the environment names no home folder."""
        folder = folder_of(os.environ)
        if folder is None:
            return None
        return TokenCache(folder, server_of(self.url), self.profile, pause=time.sleep, clock=time.monotonic)

    def required_cache(self) -> TokenCache:
        """Return the place of the tokens. Raises InputError for a URL over which tokens would be readable."""
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            message = f"{self.url} is not encrypted: others could read the token"
            raise InputError("url-unencrypted", message, fix="set WHENCE_URL to an https URL")
        found = self.cache()
        if found is None:
            raise InputError("home-unset", "there is no folder for tokens", fix="set HOME or XDG_STATE_HOME")
        return found

    def _signed_in(self) -> SignedIn | None:
        found = self.cache()
        return SignedIn(found, self, now=time.time) if found is not None else None


def server_of(url: str) -> str:
    """Return a server's URL in the one form that its tokens are kept under. Raises InputError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise InputError("url-malformed", f"{url!r} is not a URL: {exc}", fix="set WHENCE_URL or --url") from exc
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    shown = f":{port}" if port is not None and port != _PORTS.get(parts.scheme) else ""
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}"
