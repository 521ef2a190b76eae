"""Use of a new credential at the provider's token endpoint, before anybody is given it (RFC 6749, 4.3 and 4.4)."""

from __future__ import annotations

from collections.abc import Mapping

from whence_aggregator.adapters.mint.provider_http import ProviderHttp, basic


class TokenEndpoint:
    """The place's URL is the endpoint. Raises ProviderRefused, ProviderThrottled, SourceUnavailable."""

    def __init__(self, *, calls: ProviderHttp, form_encoded: bool = True) -> None:
        self._calls = calls
        self._form_encoded = form_encoded

    async def check_client(self, client_id: str, secret: str) -> None:
        """Request a token by client credentials."""
        await self._request(client_id, secret, {"grant_type": "client_credentials"}, (secret,))

    async def check_user(self, username: str, password: str, *, client_id: str, secret: str) -> None:
        """Request a token by the password grant, as a client."""
        form = {"grant_type": "password", "username": username, "password": password}
        await self._request(client_id, secret, form, (password, secret))

    async def _request(self, client_id: str, secret: str, form: Mapping[str, str], secrets: tuple[str, ...]) -> None:
        headers = basic(client_id, secret, form_encoded=self._form_encoded)
        answer = await self._calls.send("POST", self._calls.place.base_url, headers=headers, form=form, secrets=secrets)
        if answer.status != 200:
            reason = f": {answer.reason}" if answer.reason else ""
            raise self._calls.refused(
                "provider-credential-refused",
                f"does not accept the new credential by the grant {form['grant_type']} (HTTP {answer.status}){reason}",
                fix="allow the client this grant, if the provider's reason is the grant",
            )
        document = answer.document if isinstance(answer.document, dict) else {}
        if not isinstance(document.get("access_token"), str) or not document["access_token"]:
            raise self._calls.refused("provider-credential-refused", "answers without a token for the new credential")
