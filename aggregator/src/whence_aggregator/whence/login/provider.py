"""HTTP to an identity provider: bounded, https or this machine, redirects are not followed."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from whence_aggregator.openid.metadata import ProviderMetadata, SignInClient
from whence_aggregator.openid.refusals import ProviderUnreachable, malformed, refusal
from whence_aggregator.openid.tokens import Tokens
from whence_aggregator.whence.login.device import DeviceCode
from whence_common.errors import RoadError

_ANSWER_BYTES_MAX = 256 * 1024
_REQUEST_SECONDS_MAX = 30.0
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class IdentityProvider:
    """One issuer. `context` has the certificates to trust."""

    def __init__(self, issuer: str, *, context: ssl.SSLContext) -> None:
        self.issuer = issuer
        self._context = context

    def metadata(self) -> ProviderMetadata:
        """Read the discovery document. Raises RoadError."""
        url = self.issuer.removesuffix("/") + "/.well-known/openid-configuration"
        status, document = self._request("GET", url, {})
        if status != 200:
            raise malformed(f"the discovery document of {self.issuer} has HTTP status {status}")
        return ProviderMetadata.parse(document, issuer=self.issuer)

    def tokens(self, metadata: ProviderMetadata, form: Mapping[str, str]) -> Tokens:
        """Request tokens. Raises OAuthRefused, ProviderUnreachable or RoadError."""
        return Tokens.parse(self._post(metadata.token_endpoint, form))

    def device_code(self, metadata: ProviderMetadata, client: SignInClient) -> DeviceCode:
        """Begin the device flow. Raises RoadError."""
        if metadata.device_authorization_endpoint is None:
            message = f"{self.issuer} offers no sign-in on another device (device flow)"
            raise RoadError("sign-in-no-device", message, fix="use --browser or --no-browser", retryable=False)
        form = {"client_id": client.client_id, "scope": " ".join(client.scopes), "resource": client.resource}
        return DeviceCode.parse(
            self._post(
                metadata.device_authorization_endpoint, {name: value for name, value in form.items() if value}
            )
        )  # fmt: skip

    def tokens_of_device(self, metadata: ProviderMetadata, client: SignInClient, device_code: str) -> Tokens:
        """Poll once. Raises OAuthRefused while the code is not confirmed."""
        form = {"grant_type": _DEVICE_GRANT, "device_code": device_code, "client_id": client.client_id}
        return self.tokens(metadata, {**form, **({"resource": client.resource} if client.resource else {})})

    def refresh(self, metadata: ProviderMetadata, client_id: str, resource: str, refresh_token: str) -> Tokens:
        """Use a refresh token. Raises OAuthRefused, ProviderUnreachable or RoadError."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
        return self.tokens(metadata, {**form, **({"resource": resource} if resource else {})})

    def revoke(self, metadata: ProviderMetadata, client_id: str, token: str) -> bool:
        """Revoke a refresh token (RFC 7009); return False if the provider offers no revocation. Raises RoadError."""
        if metadata.revocation_endpoint is None:
            return False
        form = {"token": token, "token_type_hint": "refresh_token", "client_id": client_id}
        self._post(metadata.revocation_endpoint, form)
        return True

    def _post(self, url: str, form: Mapping[str, str]) -> dict[str, Any]:
        status, document = self._request("POST", url, form)
        if status == 200:
            return document
        raise refusal(self.issuer, status, document, form)

    def _request(self, method: str, url: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(url)
        headers = {"Accept": "application/json"}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = self._connect(parts.scheme, parts.hostname or "", parts.port)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request(method, target, body=urlencode(form) if method == "POST" else None, headers=headers)
            with connection.getresponse() as answer:
                content = answer.read(_ANSWER_BYTES_MAX + 1)
                status = answer.status
        except ssl.SSLCertVerificationError as exc:
            message = f"{self.issuer}: the certificate is not trusted: {exc.verify_message}"
            fix = "add the CA that signed it: --ca-file FILE or WHENCE_CA_FILE"
            raise RoadError("certificate-untrusted", message, fix=fix) from exc
        except (OSError, http.client.HTTPException, UnicodeError) as exc:
            message = f"{parts.hostname} of {self.issuer} is unreachable: {exc or type(exc).__name__}"
            raise ProviderUnreachable("sign-in-unreachable", message) from exc
        finally:
            connection.close()
        return status, _decoded(content, status)

    def _connect(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_REQUEST_SECONDS_MAX, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=_REQUEST_SECONDS_MAX)


def _decoded(content: bytes, status: int) -> dict[str, Any]:
    """Parse a JSON object; other bodies of errors, and the empty one of a revocation, are an empty object."""
    if len(content) > _ANSWER_BYTES_MAX:
        raise malformed(f"it has more than {_ANSWER_BYTES_MAX} bytes")
    try:
        document = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    if status == 200:
        raise malformed("it is not a JSON object")
    return {}
