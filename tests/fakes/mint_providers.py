"""mint's providers beside what judges them: one case for each provider and kind of credential, behind one contract."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from fakes.clocks import FakeClock
from fakes.mint_keycloak import ADMIN, REALM, FakeKeycloak, policies_of, profiles_of
from fakes.mint_provider import FakeProvider, ProviderMishap
from fakes.mint_stups import FakeStups
from fakes.openid_provider import OpenIdProvider
from whence_aggregator.adapters.mint.keycloak_admin import KeycloakAdmin
from whence_aggregator.adapters.mint.keycloak_clients import KeycloakBounds, KeycloakClients
from whence_aggregator.adapters.mint.provider_fields import SecretMarks
from whence_aggregator.adapters.mint.provider_http import ProviderHttp, ProviderPlace
from whence_aggregator.adapters.mint.provider_logins import ClientTokens, FileTokens, SecretFile, SignedInCalls
from whence_aggregator.adapters.mint.registered_clients import RegisteredClients, RegistrationBounds
from whence_aggregator.adapters.mint.stups_services import ServiceScopes, StupsServices, VerifyingClient
from whence_aggregator.adapters.mint.token_endpoint import TokenEndpoint
from whence_aggregator.mint.ports import ProviderClients, ProviderCredentials
from whence_aggregator.mint.values import (
    CredentialKind,
    GenerationId,
    KnownCredential,
    MadeCredential,
    ResourceScope,
    WantedClient,
)
from whence_aggregator.wiring.parts import new_session

REGISTRATION_TOKEN = "registration-of-the-suite"
KEY = b"k" * 32
WANTED = WantedClient(
    application_id="shop", name="The shop", team_id="sales", username="stups_shop", is_confidential=True,
    redirect_url="https://shop.example.org/callback",
    scopes=(ResourceScope(resource_type_id="customer", scope_id="read_all"),), client_id="",
)  # fmt: skip


class ProviderUnderTest(ProviderClients, ProviderCredentials, Protocol):
    """Both ports of a provider."""


async def no_addresses(host: str) -> list[str]:
    raise OSError(f"nothing looks up {host} here")


def generation(number: int, kind: CredentialKind = "client") -> GenerationId:
    return GenerationId(application_id=WANTED.application_id, kind=kind, generation=f"{number:032x}")


def known(made: MadeCredential, which: GenerationId) -> KnownCredential:
    """Return a credential as mint keeps it."""
    return KnownCredential(id=which, handle=dict(made.handle), secret_handle=dict(made.secret_handle))


@dataclass
class ProviderCase:
    """A provider under test. `accepts` asks its token endpoint, by none of the provider's code."""

    name: str
    provider: ProviderUnderTest
    kind: CredentialKind
    accepts: Callable[[MadeCredential], Awaitable[bool]]
    lose: Callable[[], Awaitable[None]]
    """Let the next answer to `make` be lost, after the provider has acted."""
    finds_lost: bool
    """Whether it can recover what it made when its answer was lost."""
    wanted: WantedClient = WANTED
    shows_secrets: bool = False
    """Whether its messages contain secrets, on purpose."""

    async def synced(self) -> None:
        """Create the application, as mint does before its first credential."""
        self.wanted = replace(self.wanted, client_id=await self.provider.ensure(self.wanted))

    async def make(self, number: int, current: KnownCredential | None = None) -> tuple[MadeCredential, KnownCredential]:
        which = generation(number, self.kind)
        made = await self.provider.make(self.wanted, which, current)
        return made, known(made, which)


@dataclass
class Parts:
    """What all providers under test share."""

    session: aiohttp.ClientSession
    directory: Path
    seconds_max: float = 20.0
    now: FakeClock = field(default_factory=FakeClock)

    def calls(self, name: str, url: str) -> ProviderHttp:
        place = ProviderPlace(name=name, base_url=url, private_addresses=True, seconds_max=self.seconds_max)
        return ProviderHttp(session=self.session, lookup=no_addresses, place=place, now=self.now)

    def file(self, name: str, content: str) -> SecretFile:
        path = self.directory / name
        path.write_text(content)
        return SecretFile(path)

    def stups(self, url: str, *, token: str = "stups-token") -> StupsServices:
        signed_in = SignedInCalls(calls=self.calls("stups", url), tokens=FileTokens(self.file("stups.token", token)))
        return StupsServices(
            calls=signed_in, marks=SecretMarks(KEY),
            tokens=TokenEndpoint(calls=self.calls("stups", f"{url}/access_token"), form_encoded=False),
            verifying=VerifyingClient(client_id="mint", secret=self.file("mint.secret", "the-client-of-mint")),
            scopes=ServiceScopes(realms={"customers": frozenset({"customer.read_all"})}),
        )  # fmt: skip

    def registered(self, url: str, token_url: str, *, token: str = REGISTRATION_TOKEN) -> RegisteredClients:
        calls = self.calls("registration", url)
        return RegisteredClients(
            calls=SignedInCalls(calls=calls, tokens=FileTokens(self.file("registration.token", token))),
            tokens=TokenEndpoint(calls=self.calls("registration", token_url)), marks=SecretMarks(KEY),
            bounds=RegistrationBounds(secret_seconds_min=86_400.0), now=self.now,
        )  # fmt: skip

    def keycloak(self, url: str, *, secret: str = ADMIN[1]) -> KeycloakClients:
        calls, token_url = self.calls("keycloak", url), f"{url}/realms/{REALM}/protocol/openid-connect/token"
        tokens = ClientTokens(
            calls=calls, token_url=token_url, client_id=ADMIN[0], secret=self.file("keycloak.secret", secret),
            rights="the roles manage-clients and view-realm", seconds=lambda: 0.0,
        )  # fmt: skip
        return KeycloakClients(
            admin=KeycloakAdmin(calls=SignedInCalls(calls=calls, tokens=tokens), realm=REALM),
            tokens=TokenEndpoint(calls=self.calls("keycloak", token_url)), marks=SecretMarks(KEY),
            bounds=KeycloakBounds(secret_seconds_min=40 * 86_400.0, rotated_seconds_min=86_400.0), now=self.now,
        )  # fmt: skip

    async def token(self, url: str, client: tuple[str, str], **form: str) -> bool:
        """Return whether a token endpoint gives a token."""
        pair = base64.b64encode(":".join(client).encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
        async with self.session.post(url, data=form, headers=headers) as answer:
            assert answer.status in (200, 400, 401), await answer.text()
            return answer.status == 200


@asynccontextmanager
async def parts(directory: Path, *, seconds_max: float = 20.0) -> AsyncIterator[Parts]:
    async with new_session() as session:
        yield Parts(session, directory, seconds_max)


def client_of(made: MadeCredential) -> tuple[str, str]:
    return made.document["client_id"] or "", made.document["client_secret"] or ""


@asynccontextmanager
async def stups_case(shared: Parts, kind: CredentialKind) -> AsyncIterator[ProviderCase]:
    async with FakeStups().serve() as fake:

        async def accepts(made: MadeCredential) -> bool:
            url, document = f"{fake.url}/access_token", made.document
            if kind == "client":
                return await shared.token(url, client_of(made), grant_type="client_credentials")
            form = {
                "username": document["application_username"] or "", "password": document["application_password"] or "",
            }  # fmt: skip
            return await shared.token(url, fake.verifying, grant_type="password", **form)

        async def lose() -> None:
            fake.lost = 1

        provider = shared.stups(fake.url)
        yield ProviderCase(f"stups-{kind}", provider, kind, accepts, lose, finds_lost=False)


@asynccontextmanager
async def registration_case(shared: Parts, openid: OpenIdProvider) -> AsyncIterator[ProviderCase]:
    async def accepts(made: MadeCredential) -> bool:
        return await shared.token(f"{openid.issuer}/token", client_of(made), grant_type="client_credentials")

    async def lose() -> None:
        await openid.suite("set", lost=1)

    provider = shared.registered(f"{openid.issuer}/reg", f"{openid.issuer}/token")
    yield ProviderCase("registration", provider, "client", accepts, lose, finds_lost=False)


@asynccontextmanager
async def keycloak_case(shared: Parts) -> AsyncIterator[ProviderCase]:
    fake = FakeKeycloak(profiles=profiles_of(), policies=policies_of())
    fake.add_scope("customer.read_all")
    async with fake.serve():

        async def accepts(made: MadeCredential) -> bool:
            url = f"{fake.url}/realms/{REALM}/protocol/openid-connect/token"
            return await shared.token(url, client_of(made), grant_type="client_credentials")

        async def lose() -> None:
            fake.lost = 1

        yield ProviderCase("keycloak", shared.keycloak(fake.url), "client", accepts, lose, finds_lost=True)


@asynccontextmanager
async def memory_case(kind: CredentialKind) -> AsyncIterator[ProviderCase]:
    """The provider in memory that the rotation's own tests use."""
    lost: list[str] = []

    def weather(request: str) -> ProviderMishap:
        return "lost" if lost and request == lost[0] and lost.pop() else "fine"

    async def accepts(made: MadeCredential) -> bool:
        return fake.accepts(made.document)

    async def lose() -> None:
        lost.append("make")

    fake = FakeProvider(weather=weather)
    yield ProviderCase(f"memory-{kind}", fake, kind, accepts, lose, finds_lost=True, shows_secrets=True)


CASES: dict[str, Callable[[Parts, OpenIdProvider], AbstractAsyncContextManager[ProviderCase]]] = {
    "memory-user": lambda *_: memory_case("user"),
    "memory-client": lambda *_: memory_case("client"),
    "stups-user": lambda shared, _: stups_case(shared, "user"),
    "stups-client": lambda shared, _: stups_case(shared, "client"),
    "registration": registration_case,
    "keycloak": lambda shared, _: keycloak_case(shared),
}
"""Each provider by name. A further one needs a row here and no other change."""


def shown(value: Any) -> str:
    """Return all that a log line, a traceback or a message could show of a value."""
    return f"{value!r} {value}"
