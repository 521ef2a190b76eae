"""The authorization request with PKCE (RFC 7636, S256), and the check of the redirect that ends it. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from whence_aggregator.openid.metadata import ProviderMetadata, SignInClient
from whence_aggregator.openid.refusals import OAuthRefused, malformed
from whence_common.errors import RoadError

_CODE_CHARACTERS_MAX = 4096
RANDOM_BYTES = 32
"""Of state, nonce and verifier; 43 characters each."""


class OtherSignIn(Exception):
    """A redirect has no `state`, or that of another sign-in: it is not ours, and ours continues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """One sign-in in the browser. `nonce` is empty if no ID token is requested."""

    client: SignInClient
    metadata: ProviderMetadata
    redirect_uri: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def new(
        cls, client: SignInClient, metadata: ProviderMetadata, redirect_uri: str, random_text: Callable[[int], str]
    ) -> AuthorizationRequest:
        """Create a request. `random_text` returns unguessable URL-safe text made of a number of random bytes."""
        return cls(
            client=client,
            metadata=metadata,
            redirect_uri=redirect_uri,
            state=random_text(RANDOM_BYTES),
            nonce=random_text(RANDOM_BYTES) if "openid" in client.scopes else "",
            verifier=random_text(RANDOM_BYTES),
        )

    def url(self, *, prompt: str | None = None) -> str:
        """Return the URL for the browser. It has no secret: the verifier stays here. Raises RoadError."""
        endpoint = self.metadata.authorization_endpoint
        if endpoint is None:
            raise RoadError("sign-in-no-browser", f"{self.metadata.issuer} offers no sign-in by browser: use --device")
        wanted = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.client.scopes),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": _challenge(self.verifier),
            "code_challenge_method": "S256",
            "resource": self.client.resource,
            "prompt": prompt or self.client.prompt,
        }
        query = urlencode({name: value for name, value in wanted.items() if value})
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    def code(self, query: Sequence[tuple[str, str]]) -> str:
        """Return the code of the redirect.

        Raises OtherSignIn if it does not belong to this request, and RoadError if it ends this request.
        """
        found = dict(query)
        if not hmac.compare_digest(found.get("state", "").encode(), self.state.encode()):
            raise OtherSignIn
        if len(found) != len(query):
            raise malformed("the redirect has a parameter more than once")
        issuer = found.get("iss")
        if issuer is None and self.metadata.states_issuer:
            raise malformed("the redirect does not state its issuer (iss)")
        if issuer is not None and issuer != self.metadata.issuer:
            raise malformed("the redirect is from another issuer (iss)")
        if "error" in found:
            raise OAuthRefused(self.metadata.issuer, found["error"], found.get("error_description", ""))
        code = found.get("code", "")
        if not 0 < len(code) <= _CODE_CHARACTERS_MAX:
            raise malformed("the redirect has no code")
        return code

    def exchange(self, code: str) -> dict[str, str]:
        """Return the form that exchanges the code for tokens."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client.client_id,
            "code_verifier": self.verifier,
            "resource": self.client.resource,
        }
        return {name: value for name, value in form.items() if value}


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).decode("ascii").rstrip("=")
