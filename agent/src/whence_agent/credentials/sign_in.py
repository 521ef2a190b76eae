"""This machine's logins at registries: by their tokens, by its identity, and by Docker's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whence_agent.credentials.keeper import CredentialKeeper
from whence_agent.credentials.pull_tokens import PullTokenClient
from whence_agent.ports import Metadata, RegistryRefused, SecretUnavailable, TokenIssuer
from whence_agent.ports_aggregator import PullToken
from whence_agent.ports_cloud import Repositories
from whence_agent.redaction import Redactor
from whence_agent.settings import Settings
from whence_common.image_reference import ImageReference
from whence_common.login_file import LoginInvalid, docker_entry, login_of_entry
from whence_common.registry_sign_in import Login

_IDENTITY_USER = "instance-identity-document"
_TOKEN_USER = "oauth2"  # noqa: S105 - the user name that Pier One expects with a token


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Returns the login for a registry. Logins stay in memory, and are masked in logs and status."""

    settings: Settings
    metadata: Metadata
    repositories: Repositories
    issuer: TokenIssuer
    keeper: CredentialKeeper
    pull_tokens: PullTokenClient
    redactor: Redactor
    platform: Mapping[str, Mapping[str, str]]
    """Logins of the platform's docker_config_file, by registry."""

    async def login(self, image: ImageReference, own: Mapping[str, Mapping[str, str]]) -> Login | None:
        """Return the login for an image's registry, or None; `own` is user data's dockercfg, decrypted.

        Raises RegistryRefused, MetadataUnavailable and CloudRefused.
        """
        registry = image.registry
        kind = self.settings.sign_in_of(registry)
        if kind == "none":
            return None
        if kind == "whence":
            return self._learned(_of_front(await self.pull_tokens.token(registry, image.path)))
        if kind == "ecr":
            username, password = await self.repositories.sign_in(registry)
            return self._learned(Login(username=username, password=password))
        if kind in ("identity", "identity-rsa2048"):
            signed = await self.metadata.signed_identity("rsa2048" if kind == "identity-rsa2048" else "pkcs7")
            return self._learned(Login(username=_IDENTITY_USER, password=signed))
        if kind == "mint":
            return self._learned(Login(username=_TOKEN_USER, password=await self._mint_token(registry)))
        entry = docker_entry({"auths": dict(own)}, registry) or docker_entry({"auths": dict(self.platform)}, registry)
        return None if entry is None else self._learned(_from_docker(entry, registry))

    async def _mint_token(self, registry: str) -> str:
        user, client = self.keeper.user(), self.keeper.client()
        if client is None and user is not None:
            message = f"{registry} requires a token of the application's user, but the application has no client.json"
            raise RegistryRefused(
                "registry-no-client", message, retryable=False,
                fix="use another sign_in than mint for the registry, or have a client minted for the application",
            )  # fmt: skip
        if client is None and self.keeper.configured:  # the keeper continues to poll for them
            message = f"{registry} requires a login with mint credentials, which are not available yet"
            raise RegistryRefused("registry-no-credentials", f"{message}: {self.keeper.message}")
        if client is None:
            raise RegistryRefused(
                "registry-no-credentials", f"{registry} requires a login with mint credentials, but there are none",
                retryable=False, fix="set mint_bucket in user data",
            )  # fmt: skip
        if user is None:
            message = f"{registry} requires a token of the application's user, but the application has no user.json"
            raise RegistryRefused(
                "registry-no-user", message, retryable=False,
                fix="use another sign_in than mint for the registry, or have a user minted for the application",
            )  # fmt: skip
        try:
            return (await self.issuer.password_grant(user, client)).token
        except SecretUnavailable as exc:
            raise RegistryRefused(
                exc.code, f"{registry}: {exc.message}", fix=exc.fix, retryable=exc.retryable,
                retry_after_seconds=exc.retry_after_seconds,
            ) from exc  # fmt: skip

    def _learned(self, login: Login) -> Login:
        for value in (login.password, login.identity_token, login.registry_token):
            self.redactor.learn(value)
        return login


def _of_front(given: PullToken) -> Login:
    """Return the refresh token, by which the engine renews tokens during a pull; the token if there is none."""
    if given.refresh_token:
        return Login(identity_token=given.refresh_token, seconds=given.refresh_expires_seconds)
    return Login(registry_token=given.token, seconds=given.expires_seconds)


def _from_docker(entry: Mapping[str, object], registry: str) -> Login:
    try:
        return login_of_entry(entry, host=registry, name="dockercfg")
    except LoginInvalid as exc:
        raise RegistryRefused(exc.code, exc.message, retryable=False, fix=exc.fix) from exc
