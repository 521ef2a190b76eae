"""Authenticates callers by their bearer tokens, for queries, for Kio's paths and for the registry front.

A token is a static token of the tokens file, a session token of a job, a JSON Web Token of a listed issuer, or opaque.
Opaque tokens are checked by introspection and by STUPS's token service. A source that is not configured or does not
answer denies. The decision needs headers only, so it is made before the body is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from whence_aggregator.callers.caller import AMIS, Caller, KnownCallers, Reads
from whence_aggregator.callers.claim_mapping import ClaimMapping
from whence_aggregator.callers.compact_token import (
    ALGORITHMS,
    TOKEN_CHARACTERS_MAX,
    CompactToken,
    TokenRefused,
    check_header,
    parse_compact,
)
from whence_aggregator.callers.issuer import IssuerRules, check_audiences, check_claims, check_times, check_type
from whence_aggregator.callers.job_rules import JobRule, matching_rules
from whence_aggregator.callers.jobs import Provider, job_of
from whence_aggregator.callers.key_cache import KeyCache
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.sessions import Session, Sessions
from whence_aggregator.callers.shares import Shares
from whence_aggregator.callers.sign_in_unavailable import SignInUnavailable
from whence_aggregator.callers.stups_people import TokenInfo, caller_of
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.callers.verified import VerifiedTokens
from whence_aggregator.ports import Overloaded, SourceUnavailable, Unauthenticated
from whence_common.clock import Now

_ASKED_AT_ONCE_MAX = 256
"""Concurrent checks of opaque tokens, each of which holds a connection; one address may use at most a half."""

_KINDS = ("token_type", "token_use", "typ")
"""Members in which introspection servers state that a token is a refresh token: `token_type_hint` excludes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleIssuer:
    """An issuer of tokens for people and services."""

    rules: IssuerRules
    keys: KeyCache
    mapping: ClaimMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIssuer:
    """An issuer of tokens for CI jobs."""

    rules: IssuerRules
    keys: KeyCache
    provider: Provider
    job_rules: Sequence[JobRule]
    source_server: str | None = None


class TeamsSeen(Protocol):
    def saw(self, teams: Iterable[str], /) -> None:
        """Remember the teams that the groups of a verified token name."""


class Introspection(Protocol):
    async def claims(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims of a token (RFC 7662); None if it is not active. Raises SourceUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectedIssuer:
    """An introspection server for opaque tokens, with the rules for its responses."""

    issuer: str
    audiences: frozenset[str]
    trusted_audiences: frozenset[str]
    token_seconds_max: float
    introspection: Introspection
    mapping: ClaimMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySources:
    """The configured sources of identities. `reads` is the scope of reading for STUPS users and for jobs."""

    issuers: Mapping[str, PeopleIssuer | JobIssuer]
    introspected: IntrospectedIssuer | None = None
    token_info: TokenInfo | None = None
    reads: Reads = "organisation"

    @property
    def asks_others(self) -> bool:
        return self.introspected is not None or self.token_info is not None


NOBODY = IdentitySources(issuers={})


class Authenticator:
    """Authenticates callers. `attempts` limits failed checks by address; `seen` is told the teams of people."""

    def __init__(
        self,
        *,
        known: KnownCallers,
        sources: IdentitySources,
        sessions: Sessions | None,
        attempts: Limit,
        now: Now,
        seen: TeamsSeen | None = None,
    ) -> None:
        self._seen = seen
        self._known = known
        self._sources = sources
        self._sessions = sessions
        self._attempts = attempts
        self._now = now
        self._verified = VerifiedTokens(now)
        self._asked = Shares(_ASKED_AT_ONCE_MAX)

    async def caller(self, token: str, *, address: str) -> Caller:
        """Return the caller of a token. Raises Unauthenticated, Forbidden, Overloaded or SignInUnavailable."""
        if not token:
            raise _unknown()
        static = self.static(token_hash(token))
        if static is not None:
            return static
        session = self._sessions.find(token) if self._sessions is not None else None
        if session is not None:
            return self.caller_of_session(session)
        known, caller = self._verified.find(token)
        if not known:
            caller = await self._check(token, address)
        if caller is None:
            raise _unknown()
        return caller

    def static(self, hashed: str) -> Caller | None:
        """Return the caller of a static token by its hash; None if the token is unknown or expired."""
        return self._known.get(hashed)

    async def exchange(self, token: str, *, address: str) -> tuple[str, float]:
        """Exchange a job's token; return a session token and its validity in seconds.

        The job's token cannot be used again. Raises Unauthenticated, Forbidden, Overloaded or SignInUnavailable.
        """
        if self._sessions is None:
            raise TokenRefused("workloads-unset", "no CI system is configured", fix="set sign_in.workloads")
        self._attempts.take(address)
        parsed = parse_compact(token)
        found = self._sources.issuers.get(parsed.issuer)
        if not isinstance(found, JobIssuer):
            check_header(parsed, ALGORITHMS)
            raise TokenRefused("token-issuer", "the token's issuer (iss) is not listed in sign_in.workloads")
        try:
            ends = await self._verify(parsed, found)
        except SignInUnavailable:
            self._attempts.give_back(address)
            raise
        job = job_of(found.provider, parsed.issuer, parsed.claims, source_server=found.source_server)
        matching_rules(job, found.job_rules)
        session_token = await self._sessions.begin(parsed, job, token_ends=ends)
        self._attempts.give_back(address)
        return session_token, self._sessions.seconds

    def caller_of_session(self, session: Session) -> Caller:
        """Return the job of a session as a caller, by the current rules. Raises Forbidden if no rule matches."""
        found = self._sources.issuers.get(session.job.issuer)
        rules = matching_rules(session.job, found.job_rules if isinstance(found, JobIssuer) else ())
        amis = frozenset(name for rule in rules for name in rule.amis)
        return Caller(
            name=session.job.name,
            teams=frozenset(rule.team for rule in rules),
            rights=frozenset({AMIS}) if amis else frozenset(),
            ami_names=amis,
            subject=(session.job.issuer, session.job.project_id),
            realm="services",
            reads=self._sources.reads,
            until=session.until,
            job=session.job,
        )

    async def _check(self, token: str, address: str) -> Caller | None:
        """Check a token that is not cached; None if no source knows it. A refused token counts against the address."""
        parsed = self._ours(token)
        if parsed is None and not self._sources.asks_others:
            return None
        self._attempts.take(address)
        try:
            caller = await (self._by_issuer(*parsed) if parsed is not None else self._ask(token, address))
        except (SignInUnavailable, Overloaded):
            self._attempts.give_back(address)
            raise
        if caller is not None:
            self._attempts.give_back(address)
        self._verified.keep(token, caller)
        return caller

    def _ours(self, token: str) -> tuple[CompactToken, PeopleIssuer] | None:
        """Return a JSON Web Token and its listed issuer; None if another service must check it. Raises TokenRefused."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TokenRefused("token-too-large", f"the token has more than {TOKEN_CHARACTERS_MAX} characters")
        if not token.isascii() or not token.isprintable():
            raise TokenRefused("token-malformed", "the token has characters that are not printable ASCII")
        others = self._sources.asks_others
        if token.count(".") != 2:
            return None
        try:
            parsed = parse_compact(token)
        except TokenRefused:
            if others:
                return None
            raise
        found = self._sources.issuers.get(parsed.issuer)
        if isinstance(found, PeopleIssuer):
            return parsed, found
        if isinstance(found, JobIssuer):
            raise TokenRefused(
                "token-not-exchanged", "the token of a CI job is accepted at /v1/token only",
                fix="POST it to /v1/token as subject_token, and present the access_token of the response",
            )  # fmt: skip
        if others:
            return None
        check_header(parsed, ALGORITHMS)
        raise TokenRefused("token-issuer", "the token's issuer (iss) is not listed in sign_in")

    async def _by_issuer(self, token: CompactToken, issuer: PeopleIssuer) -> Caller:
        ends = await self._verify(token, issuer)
        return self._saw(issuer.mapping.caller(issuer.rules.issuer, token.claims, until=ends))

    def _saw(self, caller: Caller) -> Caller:
        """Report the teams of a person's verified token to `seen`; those of services and jobs are not reported."""
        if self._seen is not None and caller.realm == "people" and caller.teams:
            self._seen.saw(caller.teams)
        return caller

    async def _verify(self, token: CompactToken, issuer: PeopleIssuer | JobIssuer) -> float:
        """Check a token's header, type, signature and claims, in this order; return its expiry. Raises TokenRefused."""
        check_header(token, issuer.rules.algorithms)
        type_ = check_type(issuer.rules, token)
        keys = await issuer.keys.fitting(token.algorithm, token.key_id)
        if not keys:
            raise TokenRefused("token-key-unknown", "the token's key (kid) is not in the key set of its issuer")
        if not any(key.verifies(token.text, token.algorithm) for key in keys):
            raise TokenRefused("token-signature", "the token's signature is invalid")
        return check_claims(issuer.rules, token, type_, now=self._now().timestamp())

    async def _ask(self, token: str, address: str) -> Caller | None:
        """Check an opaque token by introspection, then by the token service. Raises Overloaded or SignInUnavailable."""
        asking = {f"address {address}": 1.0}
        if self._asked.claim(asking) is not None:
            raise Overloaded(
                "sign-in-busy", "too many unknown tokens are being checked: try again later", retry_after_seconds=1.0
            )
        try:
            caller = await self._introspected(token)
            return caller if caller is not None else await self._by_token_info(token)
        except SourceUnavailable as exc:
            raise SignInUnavailable("sign-in-unavailable", f"tokens cannot be checked now: {exc.message}") from exc
        finally:
            self._asked.release(asking)

    async def _introspected(self, token: str) -> Caller | None:
        asked = self._sources.introspected
        claims = await asked.introspection.claims(token) if asked is not None else None
        if asked is None or claims is None:
            return None
        if any("refresh" in str(claims.get(name)).lower() for name in _KINDS):
            raise TokenRefused("token-type", "this is a refresh token", fix="present an access token for this server")
        check_audiences(claims.get("aud"), asked.audiences, asked.trusted_audiences)
        ends = check_times(claims, now=self._now().timestamp(), seconds_max=asked.token_seconds_max)
        if claims.get("iss", asked.issuer) != asked.issuer:
            raise TokenRefused("token-issuer", "the introspection server states another issuer (iss)")
        return self._saw(asked.mapping.caller(asked.issuer, claims, until=ends))

    async def _by_token_info(self, token: str) -> Caller | None:
        asked = self._sources.token_info
        person = await asked.person(token) if asked is not None else None
        if person is None:
            return None
        return caller_of(person, token, reads=self._sources.reads, now=self._now())


def _unknown() -> Unauthenticated:
    return Unauthenticated(
        "token-unknown",
        "the bearer token is missing, unknown or expired",
        fix="set WHENCE_TOKEN, or send `Authorization: Bearer TOKEN`; `whence-aggregator token list` shows the expiry",
    )
