"""Where tokens come from: the application's client, a token that AWS signs for the instance's role, or both."""

from __future__ import annotations

from typing import NamedTuple

from whence_agent.credentials.keeper import CredentialKeeper
from whence_agent.ports import AccessToken, SecretUnavailable, TokenIssuer
from whence_agent.ports_cloud import WebIdentity
from whence_agent.redaction import Redactor
from whence_common.user_data.tokens import TokenSource


class GotToken(NamedTuple):
    """A token. `note` is why it is of the application's client, although it should not be; empty if it should."""

    token: AccessToken
    note: str = ""


class TokenSources:
    """Requests tokens by the source that user data states.

    With `both`, the client's token takes the place of one that cannot be obtained without a secret: during a migration
    the application keeps working, and the status names what is missing.
    """

    def __init__(
        self,
        *,
        issuer: TokenIssuer,
        web_identity: WebIdentity,
        audience: str,
        keeper: CredentialKeeper,
        redactor: Redactor,
    ) -> None:
        self._issuer = issuer
        self._web_identity = web_identity
        self._audience = audience
        self._keeper = keeper
        self._redactor = redactor
        self._source: TokenSource = "client"
        self._application_id = ""

    def configure(self, source: TokenSource, application_id: str) -> None:
        """Set the source, and the application, which is the public client that exchanges tokens."""
        self._source, self._application_id = source, application_id

    @property
    def ready(self) -> bool:
        """Whether a token can be requested: not before client.json was read, if it is needed."""
        return self._source != "client" or self._keeper.client() is not None

    async def request(self, scopes: tuple[str, ...]) -> GotToken:
        """Request a token. Raises SecretUnavailable."""
        if self._source == "client":
            return GotToken(await self._of_client(scopes))
        try:
            return GotToken(await self._of_role(scopes))
        except SecretUnavailable as exc:
            if self._source == "web-identity" or self._keeper.client() is None:
                raise
            return GotToken(await self._of_client(scopes), note=f"the client's is used: {exc.diagnostics()}")

    async def _of_client(self, scopes: tuple[str, ...]) -> AccessToken:
        client = self._keeper.client()
        if client is None:
            raise SecretUnavailable("tokens-no-client", "client.json is not available yet")
        return await self._issuer.client_credentials(client, scopes)

    async def _of_role(self, scopes: tuple[str, ...]) -> AccessToken:
        if not self._audience:
            fix = "have the platform set oauth_token_url"
            raise SecretUnavailable("token-endpoint-unset", "no token endpoint is configured", retryable=False, fix=fix)
        subject = await self._web_identity.token(self._audience)
        self._redactor.learn(subject)
        return await self._issuer.exchange(subject, client_id=self._application_id, scopes=scopes)
