"""The settings of `sign_in`: issuers, CI systems, token introspection and STUPS's services."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.callers.caller import EVERY_ACCOUNT, FINDINGS
from whence_aggregator.callers.claim_mapping import TEAM, RightName
from whence_aggregator.callers.compact_token import ALGORITHMS
from whence_aggregator.callers.issuer import TokenType
from whence_aggregator.callers.job_rules import EVENTS, HAVE_REFS, REFUSED_EVENTS, is_ami_pattern, is_ref_pattern
from whence_aggregator.callers.jobs import Provider
from whence_common.identifiers import ACCOUNT_ID, PRODUCT
from whence_common.image_reference import is_loopback_registry

SESSION_SECONDS_MAX = 3600.0
_TOKEN_SECONDS_MAX = 7 * 86_400.0
_CLIENT_ID = re.compile(r"[\x20-\x7e]{1,300}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")


class RightSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Grants a right to every user of the issuer, or only to users whose `claim` has one of `values`."""

    right: RightName
    claim: str = ""
    values: list[str] = []
    accounts: list[str] = []
    """The accounts that the right `findings` is bounded to; ["*"] for all."""
    products: list[str] = []
    """The products, as `whence findings list` shows them, that it is bounded to; empty: any."""


class ClaimSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Maps an issuer's claims to callers. A claim name with dots is the path of a nested claim."""

    rights: list[RightSettings]
    uid: str = "sub"
    """The claim with the caller's name, as it is shown and recorded."""
    uid_prefix: str = ""
    """A prefix of that name, which distinguishes users of different issuers."""
    subject: list[str] = msgspec.field(default_factory=lambda: ["sub"])
    """The claims that identify the user within the issuer; Entra: [tid, oid]."""
    realm: Literal["people", "services"] = "people"
    realm_claim: str = ""
    service_values: list[str] = []
    """Values of `realm_claim` that mean a service."""
    groups: str = ""
    """The claim with the list of groups; if empty, no caller is a member of a team."""
    group_prefix: str = ""
    group_pattern: str = "[a-z0-9._-]+"
    """Must match all that follows the prefix. The team is its capture group, or the whole match if it has none."""
    group_teams: dict[str, str] = {}
    """Teams by the exact value of a group."""
    email: str = ""
    """The claim with the caller's e-mail address, which approvals record; if empty, none is."""
    email_verified: str = "email_verified"
    """The claim that must be true for the address to count; empty if the issuer verifies every address."""


class CliSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The OAuth client of `whence login`, a public client with PKCE; published at /v1/sign-in."""

    client_id: str
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid", "offline_access"])
    resource: str = ""
    """The resource indicator (RFC 8707) to request tokens for; empty sends none."""
    prompt: str = ""
    redirect_port: int = 0
    """The port of the redirect URI, for issuers that accept only a registered one; 0 is any free port."""


class ConsoleClientSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The OAuth client of the console, which uses PKCE; its redirect URI is the console's /console/sign-in/callback."""

    client_id: str
    client_secret_file: str | None = None
    """None: a public client."""
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid"])
    resource: str = ""
    """The resource indicator (RFC 8707) to request tokens for; empty sends none."""
    prompt: str = ""


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID Connect issuer of tokens for people and services."""

    issuer: str
    """Exactly as in its tokens and its discovery document."""
    audiences: list[str]
    claims: ClaimSettings
    trusted_audiences: list[str] = []
    jwks_url: str | None = None
    algorithms: list[str] = msgspec.field(default_factory=lambda: ["RS256", "ES256"])
    token_types: list[TokenType] = msgspec.field(default_factory=lambda: ["at+jwt"])
    clients: list[str] = []
    audience_claim: str = "aud"
    required_claims: dict[str, str] = {}
    token_seconds_max: float = 86_400.0
    cli: CliSettings | None = None
    """Lets people sign in with `whence login`; None does not."""
    console: ConsoleClientSettings | None = None
    """Lets people sign in to the console; None does not."""


class JobRuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lets the jobs of a project act for a team."""

    team: str
    project_id: str
    """GitHub's repository_id, GitLab's project_id, Buildkite's pipeline_id, CircleCI's project-id, AWS's role ARN."""
    owner_id: str = ""
    refs: list[str] = []
    ref_protected: bool = True
    environments: list[str] = []
    events: list[str] = []
    runners: list[str] = []
    workflows: list[str] = []
    amis: list[str] = []
    """Names of the AMIs whose statements the jobs may record, or beginnings of names with `*`; none: they may not."""


class WorkloadSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CI system, and the rules that map its jobs to teams."""

    issuer: str
    provider: Provider
    audiences: list[str]
    rules: list[JobRuleSettings]
    jwks_url: str | None = None
    algorithms: list[str] = msgspec.field(default_factory=lambda: ["RS256", "ES256", "ES384"])
    token_types: list[TokenType] = msgspec.field(default_factory=lambda: ["jwt"])
    token_seconds_max: float = 86_400.0
    source_server: str | None = None
    """The URL of the Git host of its repositories, if that is not the issuer's own host."""


class IntrospectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server for introspection of opaque tokens (RFC 7662)."""

    url: str
    issuer: str
    client_id: str
    client_secret_file: str
    audiences: list[str]
    claims: ClaimSettings
    trusted_audiences: list[str] = []
    token_seconds_max: float = 86_400.0
    cli: CliSettings | None = None
    console: ConsoleClientSettings | None = None


class SignInSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sources that authenticate callers, in addition to the tokens file."""

    reads: Literal["organisation", "teams"] = "organisation"
    """The scope of the right to read: resources of all teams, or of the caller's own teams."""
    issuers: list[IssuerSettings] = []
    workloads: list[WorkloadSettings] = []
    introspection: IntrospectionSettings | None = None
    tokeninfo_url: str | None = None
    """STUPS's token service, which is queried with the token as bearer token."""
    team_url: str | None = None
    """STUPS's team service; without it, callers known by tokeninfo only may not write for single teams."""
    team_policy: str = "relaxed-radical-agility"
    session_seconds: float = 900.0
    """The validity of a session token, which a job receives for one token of its CI system."""


def maps_groups(found: SignInSettings) -> bool:
    """Return whether tokens of any issuer state teams."""
    claims = [one.claims for one in found.issuers]
    if found.introspection is not None:
        claims.append(found.introspection.claims)
    return any(one.groups for one in claims)


def wrong_in_sign_in(sign_in: SignInSettings) -> list[str]:
    """Return the problems of the settings, each with its path."""
    wrong = [one for number, issuer in enumerate(sign_in.issuers)
             for one in _wrong_in_issuer(f"sign_in.issuers[{number}]", issuer)]  # fmt: skip
    wrong += [one for number, workload in enumerate(sign_in.workloads)
              for one in _wrong_in_workload(f"sign_in.workloads[{number}]", workload)]  # fmt: skip
    named = [*(one.issuer for one in sign_in.issuers), *(one.issuer for one in sign_in.workloads)]
    wrong += [f"sign_in: the issuer {one} is listed twice" for one in sorted({a for a in named if named.count(a) > 1})]
    if sign_in.introspection is not None:
        wrong += _wrong_in_introspection(sign_in.introspection)
        if sign_in.introspection.cli is not None and any(
            one.cli is not None and one.issuer == sign_in.introspection.issuer for one in sign_in.issuers
        ):
            wrong.append(f"sign_in: the issuer {sign_in.introspection.issuer} has two settings cli: remove one")
    for name in ("tokeninfo_url", "team_url"):
        url = getattr(sign_in, name)
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            wrong.append(f"sign_in.{name} must be an http or https URL")
    if not 60 <= sign_in.session_seconds <= SESSION_SECONDS_MAX:
        wrong.append(f"sign_in.session_seconds must be from 60 to {SESSION_SECONDS_MAX:g}")
    return wrong


def _wrong_in_issuer(name: str, issuer: IssuerSettings) -> Iterator[str]:
    yield from _wrong_in_common(name, issuer)
    yield from _wrong_in_claims(f"{name}.claims", issuer.claims)
    if not issuer.audience_claim:
        yield f"{name}.audience_claim must name a claim"
    if issuer.cli is not None:
        yield from _wrong_in_cli(f"{name}.cli", issuer.cli)
        if issuer.cli.client_id in issuer.audiences and "jwt" in issuer.token_types:
            yield f"{name}.audiences lists cli.client_id: with token_types jwt, ID tokens would be accepted; remove it"
    if issuer.console is not None:
        yield from _wrong_in_client(f"{name}.console", issuer.console)
        if issuer.console.client_id in issuer.audiences and "jwt" in issuer.token_types:
            listed = "lists console.client_id: with token_types jwt, ID tokens would be accepted; remove it"
            yield f"{name}.audiences {listed}"


def _wrong_in_workload(name: str, workload: WorkloadSettings) -> Iterator[str]:
    yield from _wrong_in_common(name, workload)
    if workload.source_server is not None and not _is_safe_url(workload.source_server):
        yield f"{name}.source_server must be an https URL"
    for number, rule in enumerate(workload.rules):
        yield from _wrong_in_rule(f"{name}.rules[{number}]", workload.provider, rule)


def _wrong_in_rule(name: str, provider: Provider, rule: JobRuleSettings) -> Iterator[str]:
    if not TEAM.match(rule.team):
        yield f"{name}.team is not a team id: use lower-case letters, digits, . _ and -"
    if not re.fullmatch(r"[A-Za-z0-9:/+=,.@_-]{1,300}", rule.project_id):
        yield f"{name}.project_id is not an id: write a number in quotes"
    if provider in ("github", "gitlab") and not rule.project_id.isdecimal():
        yield f"{name}.project_id must be the number of the repository or project, because names may be reassigned"
    if provider in HAVE_REFS and not rule.refs:
        yield f"{name}.refs must name at least one ref, such as refs/heads/main"
    for one in rule.refs:
        if not is_ref_pattern(one):
            yield f"{name}.refs: {one!r} must be complete (refs/heads/main), or end in /*, or in * below refs/tags/"
    for one in rule.events:
        if one in REFUSED_EVENTS[provider]:
            yield f"{name}.events: {one!r} may run code from outside the repository, and is always refused: remove it"
    for one in rule.amis:
        if not is_ami_pattern(one):
            yield f"{name}.amis: {one!r} is not the name of an AMI, or at least three characters of one and then *"
    if rule.events and not EVENTS[provider]:
        yield f"{name}.events: tokens of {provider} do not state which event started a job: remove it"


def _wrong_in_introspection(introspection: IntrospectionSettings) -> Iterator[str]:
    name = "sign_in.introspection"
    if not _is_safe_url(introspection.url):
        yield f"{name}.url must be an https URL"
    yield from _wrong_in_audiences(name, introspection.audiences)
    yield from _wrong_in_claims(f"{name}.claims", introspection.claims)
    if introspection.cli is not None:
        yield from _wrong_in_cli(f"{name}.cli", introspection.cli)
        if not _is_safe_url(introspection.issuer):
            yield f"{name}.issuer must be an https URL if cli is set: whence login reads its discovery document"
    if introspection.console is not None:
        yield from _wrong_in_client(f"{name}.console", introspection.console)
        if not _is_safe_url(introspection.issuer):
            yield f"{name}.issuer must be an https URL if console is set: its discovery document is read"


def _wrong_in_cli(name: str, cli: CliSettings) -> Iterator[str]:
    yield from _wrong_in_client(name, cli)
    if cli.redirect_port != 0 and not 1024 <= cli.redirect_port <= 65_535:
        yield f"{name}.redirect_port must be from 1024 to 65535, or 0 for any free port"


def _wrong_in_client(name: str, cli: CliSettings | ConsoleClientSettings) -> Iterator[str]:
    if not _CLIENT_ID.fullmatch(cli.client_id):
        yield f"{name}.client_id must have 1 to 300 printable ASCII characters"
    for one in cli.scopes:
        if not _SCOPE.fullmatch(one):
            yield f"{name}.scopes: {one!r} is not a scope (RFC 6749, 3.3)"
    if cli.resource and (not urlsplit(cli.resource).scheme or urlsplit(cli.resource).fragment):
        yield f"{name}.resource must be an absolute URI without fragment (RFC 8707, 2)"
    if cli.prompt and not re.fullmatch(r"[a-z_]{1,30}(?: [a-z_]{1,30}){0,3}", cli.prompt):
        yield f"{name}.prompt must be values of OpenID Connect, such as consent or select_account"


def _wrong_in_common(name: str, issuer: IssuerSettings | WorkloadSettings) -> Iterator[str]:
    if not _is_safe_url(issuer.issuer):
        yield f"{name}.issuer must be an https URL"
    if issuer.jwks_url is not None and not _is_safe_url(issuer.jwks_url):
        yield f"{name}.jwks_url must be an https URL"
    yield from _wrong_in_audiences(name, issuer.audiences)
    for one in issuer.algorithms:
        if one not in ALGORITHMS:
            yield f"{name}.algorithms: {one!r} is not one of {', '.join(sorted(ALGORITHMS))}"
    if not issuer.algorithms or not issuer.token_types:
        yield f"{name}.algorithms and token_types must not be empty"
    if not 60 <= issuer.token_seconds_max <= _TOKEN_SECONDS_MAX:
        yield f"{name}.token_seconds_max must be from 60 to {_TOKEN_SECONDS_MAX:g}"


def _wrong_in_audiences(name: str, audiences: list[str]) -> Iterator[str]:
    if not audiences or not all(audiences):
        yield f"{name}.audiences must name this server as tokens do: without it, tokens for other services are accepted"


def _wrong_in_claims(name: str, claims: ClaimSettings) -> Iterator[str]:
    if not claims.rights:
        yield f"{name}.rights must grant at least one right, such as {{right: read}}: otherwise no caller has any"
    for number, right in enumerate(claims.rights):
        if bool(right.claim) != bool(right.values):
            yield f"{name}.rights[{number}]: set claim and values together, or neither"
        if not right.claim and right.right != "read":
            yield f"{name}.rights[{number}] grants {right.right} to every user of the issuer: set claim and values"
        yield from _wrong_in_accounts(f"{name}.rights[{number}]", right)
    if not claims.subject or not all(claims.subject):
        yield f"{name}.subject must name at least one claim"
    if bool(claims.realm_claim) != bool(claims.service_values):
        yield f"{name}: set realm_claim and service_values together, or neither"
    try:
        if re.compile(claims.group_pattern).groups > 1:
            yield f"{name}.group_pattern must have at most one capture group"
    except re.error as exc:
        yield f"{name}.group_pattern is not a regular expression: {exc}"
    for group, team in claims.group_teams.items():
        if not TEAM.match(team):
            yield f"{name}.group_teams.{group}: {team!r} is not a team id"


def _wrong_in_accounts(name: str, right: RightSettings) -> Iterator[str]:
    if (right.right == FINDINGS) != bool(right.accounts):
        yield f"{name}: findings needs accounts, and no other right has them"
    if right.products and right.right != FINDINGS:
        yield f"{name}: products belong to the right findings"
    for one in right.products:
        if not PRODUCT.match(one):
            yield f"{name}.products: {one!r} is not the name of a product: write it as in `whence findings list`"
    for one in right.accounts:
        if one != EVERY_ACCOUNT and not ACCOUNT_ID.match(one):
            yield f"{name}.accounts: {one!r} is not an account id (12 digits, in quotes) or '*'"


def _is_safe_url(url: str) -> bool:
    parts = urlsplit(url)
    return (
        bool(parts.hostname) and parts.username is None and not parts.query and not parts.fragment
        and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback_registry(parts.netloc)))
    )  # fmt: skip
