"""Wiring of the one place that says who calls."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from whence_aggregator.adapters.introspection import OAuthIntrospection
from whence_aggregator.adapters.openid import OpenIdKeys
from whence_aggregator.adapters.people import StupsTeams, StupsTokenInfo
from whence_aggregator.callers.caller import KnownCallers
from whence_aggregator.callers.claim_mapping import ClaimMapping, RightRule
from whence_aggregator.callers.command_client import CommandClient
from whence_aggregator.callers.issuer import IssuerRules
from whence_aggregator.callers.job_rules import JobRule
from whence_aggregator.callers.key_cache import KEPT_SECONDS_MAX, KeyCache
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.callers.sessions import Sessions
from whence_aggregator.callers.sign_in import (
    Authenticator,
    IdentitySources,
    IntrospectedIssuer,
    JobIssuer,
    PeopleIssuer,
)
from whence_aggregator.organisation.groups import GroupsSeen
from whence_aggregator.ports import Database
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.sign_in import (
    ClaimSettings,
    IntrospectionSettings,
    IssuerSettings,
    JobRuleSettings,
    SignInSettings,
    WorkloadSettings,
)
from whence_aggregator.wiring import settings_files
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.organisation import load_successors
from whence_common.clock import Now, utc_now
from whence_common.open_metrics import Family, Sample
from whence_common.runtime.pause import pause
from whence_common.settings_file import SettingsInvalid

_REFRESH_SECONDS = 3600.0
_SECRET_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIn:
    """Who calls, and who may write for a team."""

    sign_in: Authenticator
    membership: Membership
    caches: Sequence[KeyCache]
    command_clients: Sequence[CommandClient]
    """The clients that `whence login` may use, by issuer."""
    groups: GroupsSeen | None = None

    async def run(self) -> None:
        """Refresh keys, and write which groups tokens named, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._refresh())
            if self.groups is not None:
                tasks.create_task(self.groups.run())

    async def _refresh(self) -> None:
        """Fetch each issuer's keys now and every hour, until cancelled: no caller waits for it."""
        while True:
            await asyncio.gather(*(cache.refresh() for cache in self.caches))
            await pause(_REFRESH_SECONDS)

    def families(self) -> Sequence[Family]:
        """Show of how many issuers keys are known."""
        ages = [cache.age_seconds for cache in self.caches]
        known = sum(age is not None and age < KEPT_SECONDS_MAX for age in ages)
        samples = [Sample(known, {"keys": "known"}), Sample(len(ages) - known, {"keys": "unknown"})]
        help_ = "Issuers of sign_in, by whether there are keys to verify their tokens by."
        return [Family(name="whence_sign_in_issuers", kind="gauge", help=help_, samples=samples)]


def load_sign_in(
    settings: Settings,
    database: Database,
    known: KnownCallers,
    session: aiohttp.ClientSession,
    limits: LiveLimits,
    stack: AsyncExitStack,
    *,
    now: Now = utc_now,
    clock: Callable[[], float] = time.monotonic,
) -> SigningIn:
    """Make it. Raises SettingsInvalid."""
    wanted = settings.sign_in
    issuers: dict[str, PeopleIssuer | JobIssuer] = {}
    listed: list[IssuerSettings | WorkloadSettings] = [*wanted.issuers, *wanted.workloads]
    for one in listed:
        source = OpenIdKeys(session=session, issuer=one.issuer, jwks_url=one.jwks_url)
        keys = KeyCache(one.issuer, source, clock=clock)
        stack.push_async_callback(keys.close)
        issuers[one.issuer] = _people(one, keys, wanted) if isinstance(one, IssuerSettings) else _jobs(one, keys)
    sources = IdentitySources(
        issuers=issuers,
        introspected=_introspected(wanted.introspection, wanted, session) if wanted.introspection is not None else None,
        token_info=StupsTokenInfo(session=session, url=wanted.tokeninfo_url) if wanted.tokeninfo_url else None,
        reads=wanted.reads,
    )
    sessions = None
    if wanted.workloads:
        secret = settings_files.load_secret(Path(settings.heartbeat_secret_file))
        seal = Seal(secret, purpose="session", random_bytes=secrets.token_bytes)
        sessions = Sessions(database=database, seal=seal, seconds=wanted.session_seconds, now=now)
    attempts = limits.of("sign_in_attempts_per_address", "address")
    teams = StupsTeams(session=session, url=wanted.team_url, policy=wanted.team_policy) if wanted.team_url else None
    told = settings.organisation is not None and settings.organisation.groups is not None
    seen = GroupsSeen(database=database, now=now) if told else None
    return SigningIn(
        sign_in=Authenticator(known=known, sources=sources, sessions=sessions, attempts=attempts, now=now, seen=seen),
        membership=Membership(teams, load_successors(settings, database)),
        caches=[one.keys for one in issuers.values()],
        command_clients=_command_clients(wanted),
        groups=seen,
    )


def _command_clients(wanted: SignInSettings) -> list[CommandClient]:
    listed: list[IssuerSettings | IntrospectionSettings] = [*wanted.issuers]
    if wanted.introspection is not None:
        listed.append(wanted.introspection)
    return [
        CommandClient(
            issuer=one.issuer,
            client_id=one.cli.client_id,
            scopes=tuple(one.cli.scopes),
            resource=one.cli.resource,
            prompt=one.cli.prompt,
            redirect_port=one.cli.redirect_port,
        )
        for one in listed
        if one.cli is not None
    ]


def _people(issuer: IssuerSettings, keys: KeyCache, wanted: SignInSettings) -> PeopleIssuer:
    rules = IssuerRules(
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audiences),
        trusted_audiences=frozenset(issuer.trusted_audiences),
        algorithms=frozenset(issuer.algorithms),
        types=frozenset(issuer.token_types),
        clients=frozenset(issuer.clients),
        audience_claim=issuer.audience_claim,
        required=issuer.required_claims,
        token_seconds_max=issuer.token_seconds_max,
    )
    return PeopleIssuer(rules=rules, keys=keys, mapping=_mapping(issuer.claims, wanted))


def _jobs(workload: WorkloadSettings, keys: KeyCache) -> JobIssuer:
    rules = IssuerRules(
        issuer=workload.issuer,
        audiences=frozenset(workload.audiences),
        algorithms=frozenset(workload.algorithms),
        types=frozenset(workload.token_types),
        token_seconds_max=workload.token_seconds_max,
    )
    return JobIssuer(
        rules=rules,
        keys=keys,
        provider=workload.provider,
        job_rules=[_rule(one) for one in workload.rules],
        source_server=workload.source_server,
    )


def _rule(rule: JobRuleSettings) -> JobRule:
    return JobRule(
        team=rule.team,
        project_id=rule.project_id,
        owner_id=rule.owner_id,
        refs=tuple(rule.refs),
        ref_protected=rule.ref_protected,
        environments=tuple(rule.environments),
        events=frozenset(rule.events),
        runners=tuple(rule.runners),
        workflows=tuple(rule.workflows),
        amis=tuple(rule.amis),
    )


def _introspected(
    asked: IntrospectionSettings, wanted: SignInSettings, session: aiohttp.ClientSession
) -> IntrospectedIssuer:
    secret = read_secret(Path(asked.client_secret_file), "sign_in.introspection.client_secret_file")
    return IntrospectedIssuer(
        issuer=asked.issuer,
        audiences=frozenset(asked.audiences),
        trusted_audiences=frozenset(asked.trusted_audiences),
        token_seconds_max=asked.token_seconds_max,
        introspection=OAuthIntrospection(session=session, url=asked.url, client_id=asked.client_id, secret=secret),
        mapping=_mapping(asked.claims, wanted),
    )


def read_secret(path: Path, setting: str) -> str:
    """Read the secret of an OAuth client, which `setting` names. Raises SettingsInvalid, which never holds it."""
    name = f"{setting}: {path}"
    try:
        content = path.read_bytes()
    except OSError as exc:
        fix = "give it to the user that the service runs as"
        raise SettingsInvalid("sign-in-secret", f"{name} cannot be read: {exc.strerror}", fix=fix) from exc
    text = content[: _SECRET_BYTES_MAX + 1].decode("utf-8", "replace").strip()
    if not text or len(content) > _SECRET_BYTES_MAX or not text.isprintable():
        raise SettingsInvalid("sign-in-secret", f"{name} does not hold one line of text", fix="write the secret alone")
    return text


def _mapping(claims: ClaimSettings, wanted: SignInSettings) -> ClaimMapping:
    rights = [
        RightRule(
            right=one.right, claim=one.claim, values=frozenset(one.values), accounts=frozenset(one.accounts),
            products=frozenset(one.products),
        )
        for one in claims.rights
    ]  # fmt: skip
    return ClaimMapping(
        rights=rights,
        reads=wanted.reads,
        uid=claims.uid,
        uid_prefix=claims.uid_prefix,
        subject=tuple(claims.subject),
        realm=claims.realm,
        realm_claim=claims.realm_claim,
        service_values=frozenset(claims.service_values),
        groups=claims.groups,
        group_prefix=claims.group_prefix,
        group_pattern=re.compile(claims.group_pattern),
        group_teams=claims.group_teams,
        email=claims.email,
        email_verified=claims.email_verified,
    )
