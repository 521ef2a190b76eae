"""A provider's discovery document, and the server's statement of where to sign in. Pure.

Sources: OpenID Connect Discovery 1.0; RFC 8414; RFC 9207.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from whence_aggregator.openid.refusals import malformed
from whence_common.errors import InputError, RoadError
from whence_common.image_reference import is_loopback_registry

_CHARACTERS_MAX = 2000
_ISSUERS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """The endpoints of a provider; None is not offered."""

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None
    device_authorization_endpoint: str | None
    revocation_endpoint: str | None
    states_issuer: bool
    """Whether redirects carry `iss` (RFC 9207): one without it is then refused."""

    @classmethod
    def parse(cls, document: Mapping[str, Any], *, issuer: str) -> ProviderMetadata:
        """Parse a discovery document. Raises RoadError."""
        if document.get("issuer") != issuer:
            raise malformed(f"the discovery document of {issuer} states another issuer")
        token = _endpoint(document, "token_endpoint")
        if token is None:
            raise malformed(f"the discovery document of {issuer} has no token_endpoint")
        return cls(
            issuer=issuer,
            token_endpoint=token,
            authorization_endpoint=_endpoint(document, "authorization_endpoint"),
            device_authorization_endpoint=_endpoint(document, "device_authorization_endpoint"),
            revocation_endpoint=_endpoint(document, "revocation_endpoint"),
            states_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInClient:
    """An issuer that the server accepts people from, and the command's client there."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    resource: str = ""
    prompt: str = ""
    redirect_port: int = 0

    @classmethod
    def parse(cls, document: object) -> SignInClient:
        """Parse an element of the server's list. Raises RoadError."""
        stated = document if isinstance(document, dict) else {}
        issuer, scopes = stated.get("issuer"), stated.get("scopes")
        port = stated.get("redirect_port", 0)
        texts = [stated.get(name) or "" for name in ("client_id", "resource", "prompt")]
        if not isinstance(issuer, str) or not is_safe_url(issuer):
            raise RoadError("sign-in-issuer", "the server names an issuer that is not an https URL")
        if not isinstance(scopes, list) or not all(isinstance(one, str) for one in scopes):
            raise RoadError("sign-in-issuer", f"the server names no scopes for {issuer}")
        if not all(isinstance(one, str) and len(one) <= _CHARACTERS_MAX for one in texts) or not texts[0]:
            raise RoadError("sign-in-issuer", f"the server names no client id for {issuer}")
        if isinstance(port, bool) or not isinstance(port, int) or not (port == 0 or 1024 <= port <= 65_535):
            raise RoadError("sign-in-issuer", f"the server names no valid redirect port for {issuer}")
        client_id, resource, prompt = texts
        return cls(
            issuer=issuer, client_id=client_id, scopes=tuple(scopes), resource=resource, prompt=prompt,
            redirect_port=port,
        )  # fmt: skip


def choose_client(document: object, wanted: str | None, *, server: str) -> SignInClient:
    """Return the client of the wanted issuer, or of the only one. Raises RoadError or InputError."""
    listed = document.get("issuers") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _ISSUERS_MAX:
        raise RoadError("answer-not-json", "the response is not a list of issuers: is this a whence-aggregator?")
    clients = [SignInClient.parse(one) for one in listed]
    if not clients:
        raise RoadError(
            "sign-in-unset", f"{server} has no issuer for people at the terminal",
            fix="ask its operator to set `cli` of an issuer in sign_in, or set WHENCE_TOKEN", retryable=False,
        )  # fmt: skip
    names = ", ".join(one.issuer for one in clients)
    if wanted is None and len(clients) > 1:
        raise InputError("sign-in-ambiguous", f"{server} accepts several issuers: {names}", fix="choose with --issuer")
    found = next((one for one in clients if wanted in (None, one.issuer)), None)
    if found is None:
        raise InputError("sign-in-issuer", f"{server} does not accept {wanted}", fix=f"--issuer is one of {names}")
    return found


def is_safe_url(url: str) -> bool:
    """Return whether a URL is https, or http on this machine, without credentials and fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if len(url) > _CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return False
    loopback = parts.scheme == "http" and is_loopback(parts.hostname or "")
    return bool(parts.hostname) and parts.username is None and not parts.fragment and (
        parts.scheme == "https" or loopback
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    return host == "::1" or is_loopback_registry(host)


def _endpoint(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not is_safe_url(value):
        raise malformed(f"{name} is not an https URL")
    return value
