"""Parses the Authorization header of registry clients. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common import strict_base64

_IDENTITY_USER = "instance-identity-document"
_OAUTH_USER = "oauth2"
_CHARACTERS_MAX = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a client presents: a bearer token, or the identity document of an instance."""

    text: str = field(repr=False)
    is_document: bool = False


def parse_authorization(header: str) -> Presented:
    """Parse `Bearer TOKEN`, Kio's `Token TOKEN`, or Basic with one of the two users. Raises RegistryRefusal."""
    scheme, _, rest = header[:_CHARACTERS_MAX].partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return Presented(text=rest.strip())
    if scheme.lower() != "basic":
        raise RegistryRefusal("UNAUTHORIZED", "the Authorization scheme is not supported: use Basic or Bearer")
    try:
        user, _, password = strict_base64.decode(rest.strip()).decode("utf-8").partition(":")
    except ValueError as exc:
        raise RegistryRefusal("UNAUTHORIZED", "the Authorization header is malformed") from exc
    if user not in (_OAUTH_USER, _IDENTITY_USER):
        raise RegistryRefusal("UNAUTHORIZED", "the user must be oauth2, and the password the token")
    return Presented(text=password, is_document=user == _IDENTITY_USER)
