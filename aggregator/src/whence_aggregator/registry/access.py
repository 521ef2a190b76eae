"""Authenticates clients of the registry and authorizes pulls, pushes and lists.

Clients are people, services and CI jobs with a token of `sign_in` or of the tokens file, and instances with an identity
document or a token of this server. A source that is not configured denies. Decisions need headers only, so they are
made before the body is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.jobs import Job
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.callers.sessions import Session
from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.callers.sign_in_unavailable import SignInUnavailable
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.ports import Forbidden, Overloaded, Unauthenticated
from whence_aggregator.registry.authorization import parse_authorization
from whence_aggregator.registry.identity_documents import IdentityDocuments
from whence_aggregator.registry.instances import Instances
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.pull_rule import PullRule
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_aggregator.registry.standing import Standing
from whence_common.clock import Now
from whence_common.errors import InputError

GRANT_SECONDS = 300
RENEWAL_SECONDS = 3600
"""The validity of a renewal token, with which an instance's engine renews pull tokens: enough for a pull of an hour."""
_EVERYTHING = "*"
"""Requests every action that the caller may perform; skopeo sends this before it deletes."""
CATALOG = "registry:catalog"
"""In a grant, the right to list all repositories. Names of repositories contain no colon, so it cannot be one."""
Action = Literal["pull", "push"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated client. `grant`, unless None, lists all repositories and actions that its token permits."""

    name: str
    kind: Literal["caller", "person", "job", "instance", "public"]
    """How the client authenticated.

    `caller`: by a static token; `person`: by a token of an issuer, introspection or the token service, also as a
    service; `job`: as a CI job; `instance`: as an EC2 instance; `public`: not at all.
    """
    caller: Caller | None = None
    """The authenticated caller; None for `instance`, `public` and the granted token of a `person`."""
    token_hash: str = ""
    """The hash of a static token, so that a token granted for it is valid no longer than it."""
    grant: Mapping[str, list[str]] | None = None
    account_id: str = ""
    """The account of an `instance`; empty for every other kind."""

    @property
    def job(self) -> Job | None:
        return self.caller.job if self.caller is not None else None


PUBLIC = Principal(name="", kind="public")


class Access:
    """Authenticates and authorizes. Repositories of `open_teams` are open for pull and push without authentication."""

    def __init__(
        self,
        *,
        sign_in: Authenticator,
        membership: Membership,
        documents: IdentityDocuments | None,
        instances: Instances,
        pull_rule: PullRule,
        public_read: bool,
        open_teams: frozenset[str],
        seal: Seal,
        now: Now,
    ) -> None:
        self._sign_in = sign_in
        self._membership = membership
        self._documents = documents
        self._instances = instances
        self._pull_rule = pull_rule
        self._public_read = public_read
        self._open_teams = open_teams
        self._seal = seal
        self._now = now

    async def authenticate(self, authorization: str, *, client: str = "") -> Principal:
        """Return the principal of an Authorization header; limits count by `client`. Raises RegistryRefusal."""
        if not authorization:
            if self._public_read or self._open_teams:
                return PUBLIC
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        presented = parse_authorization(authorization)
        if presented.is_document:
            return await self._by_identity(presented.text)
        return await self._by_token(presented.text, client)

    async def check_pull(self, principal: Principal, repository: Repository) -> None:
        """Raise RegistryRefusal unless the principal may read the repository's team and its grant permits that."""
        if principal.kind == "public" and not self._public_read and not self._is_open(repository):
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        if principal.grant is not None and not _granted(principal, repository, "pull"):
            raise _not_granted("pulling", repository)
        if principal.caller is not None and not principal.caller.may_read(repository.team):
            raise RegistryRefusal("DENIED", f"{principal.name} may not read resources of team {repository.team}")
        if principal.kind == "instance":
            await self._check_account(principal.account_id, repository)

    async def check_account_pulls(self, account_id: str, repository: Repository) -> None:
        """Check that instances of an account may pull from a repository. Raises Forbidden or StorageUnavailable."""
        if not self._is_open(repository):
            await self._pull_rule.check(account_id, repository.team)

    def check_list(self, principal: Principal) -> None:
        """Raise RegistryRefusal unless the principal may list repositories, which returns those of every team."""
        if principal.kind == "public" and not self._public_read:
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        if principal.grant is not None and CATALOG not in principal.grant:
            raise RegistryRefusal("DENIED", "this token does not permit listing repositories", status=401)
        if principal.kind == "instance":
            raise RegistryRefusal("DENIED", "instances may only pull: they may not list repositories")
        if principal.caller is not None and not principal.caller.reads_everything:
            raise RegistryRefusal("DENIED", f"{principal.name} may not list repositories of all teams")

    async def check_push(self, principal: Principal, repository: Repository) -> None:
        """Raise RegistryRefusal unless the principal may write for the repository's team and its grant permits that."""
        if principal.kind == "public":
            if self._is_open(repository):
                return
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        if principal.grant is not None:
            if not _granted(principal, repository, "push"):
                raise _not_granted("pushing to", repository)
            if principal.kind not in ("caller", "job"):
                return
        why = await self._why_not(principal, repository.team)
        if why:
            raise RegistryRefusal("DENIED", f"{principal.name} may not push for team {repository.team}: {why}")

    def _is_open(self, repository: Repository) -> bool:
        return repository.team in self._open_teams

    async def grant(
        self, principal: Principal, wanted: list[tuple[Repository, list[str]]], *, catalog: bool = False
    ) -> str:
        """Return a token for the requested actions that the principal may perform; the others are omitted.

        Raises RegistryRefusal for a granted token, which cannot be renewed, and if a permission cannot be checked.
        """
        if principal.grant is not None:
            raise RegistryRefusal("UNAUTHORIZED", "a granted token cannot be renewed: sign in again")
        grant: dict[str, list[str]] = {}
        if catalog:
            with suppress(RegistryRefusal):
                self.check_list(principal)
                grant[CATALOG] = ["*"]
        for repository, actions in wanted:
            allowed: list[str] = []
            if "pull" in actions or _EVERYTHING in actions:
                with suppress(RegistryRefusal):
                    await self.check_pull(principal, repository)
                    allowed.append("pull")
            if "push" in actions or _EVERYTHING in actions:
                try:
                    await self.check_push(principal, repository)
                    allowed.append("push")
                except RegistryRefusal as exc:
                    if exc.code not in ("DENIED", "UNAUTHORIZED"):
                        raise
            grant[str(repository)] = sorted({*allowed, *grant.get(str(repository), [])})
        who: dict[str, Any] = {
            "name": principal.name, "kind": principal.kind, "by": principal.token_hash, "account": principal.account_id,
        }  # fmt: skip
        caller, seconds = principal.caller, float(GRANT_SECONDS)
        if principal.job is not None:
            who["job"] = principal.job.to_wire()
        if caller is not None and caller.until is not None:
            seconds = min(seconds, (caller.until - self._now()).total_seconds())
        return self._sealed(who, grant, seconds=seconds)

    async def _by_token(self, token: str, client: str) -> Principal:
        if not token.isascii():
            raise RegistryRefusal("UNAUTHORIZED", "the token has characters that are not ASCII")
        opened = self._seal.open(token)
        if opened is not None:
            return await self._by_grant(opened)
        try:
            caller = await self._sign_in.caller(token, address=client)
        except Unauthenticated as exc:
            raise RegistryRefusal("UNAUTHORIZED", exc.message, fix=exc.fix) from exc
        except Forbidden as exc:
            raise RegistryRefusal("DENIED", exc.message, fix=exc.fix) from exc
        except Overloaded as exc:
            raise RegistryRefusal("TOOMANYREQUESTS", exc.message) from exc
        except SignInUnavailable as exc:
            raise unavailable("tokens cannot be checked: a service of sign_in is unavailable") from exc
        if caller.subject is None:
            return Principal(name=caller.name, kind="caller", caller=caller, token_hash=token_hash(token))
        return Principal(name=caller.name, kind="person" if caller.job is None else "job", caller=caller)

    def instance_token(self, standing: Standing, repository: Repository) -> str:
        """Return a token with which an instance pulls from one repository, while the binding is its newest."""
        return self._sealed(
            _instance(standing),
            {str(repository): ["pull"]},
        )

    def instance_renewal(self, standing: Standing, repository: Repository) -> str:
        """Return a renewal token: an instance's engine requests pull tokens with it, and cannot pull with it."""
        return self._sealed(
            {**_instance(standing), "renews": True},
            {str(repository): ["pull"]},
            seconds=RENEWAL_SECONDS,
        )

    async def renewed(self, token: str) -> str | None:
        """Return a new pull token for a renewal token; None for any other token. Raises RegistryRefusal."""
        opened = self._seal.open(token)
        if opened is None or not opened.get("renews"):
            return None
        self._check_until(opened)
        await self._check_instance(opened["name"], opened["enrolment"])
        who = {name: opened[name] for name in ("name", "kind", "enrolment", "account")}
        return self._sealed(who, opened["grant"])

    def _sealed(self, who: dict[str, Any], grant: Mapping[str, list[str]], *, seconds: float = GRANT_SECONDS) -> str:
        until = (self._now() + timedelta(seconds=seconds)).timestamp()
        return self._seal.seal({**who, "grant": grant, "until": until})

    def _check_until(self, opened: Mapping[str, Any]) -> None:
        if opened["until"] <= self._now().timestamp():
            raise RegistryRefusal("UNAUTHORIZED", "the token has expired")
        if "account" not in opened:
            raise RegistryRefusal("UNAUTHORIZED", "the token is from an earlier version of the server: get a new one")

    async def _by_grant(self, opened: dict[str, Any]) -> Principal:
        self._check_until(opened)
        if opened.get("renews"):
            raise RegistryRefusal("UNAUTHORIZED", "this token only renews pull tokens: send it to the token endpoint")
        if opened["kind"] == "instance":
            await self._check_instance(opened["name"], opened.get("enrolment"))
        name, kind, grant = opened["name"], opened["kind"], opened["grant"]
        if kind == "job":
            return Principal(name=name, kind=kind, caller=self._job(opened), grant=grant)
        if kind != "caller":
            return Principal(name=name, kind=kind, grant=grant, account_id=opened["account"])
        by = opened.get("by", "")
        caller = self._sign_in.static(by)
        if caller is None:
            raise RegistryRefusal("UNAUTHORIZED", "the token that this one was granted for is no longer valid")
        return Principal(name=caller.name, kind="caller", caller=caller, token_hash=by, grant=grant)

    def _job(self, opened: Mapping[str, Any]) -> Caller:
        """Return the job of a granted token as a caller, by the current rules. Raises RegistryRefusal."""
        until = datetime.fromtimestamp(opened["until"], self._now().tzinfo)
        try:
            return self._sign_in.caller_of_session(Session(job=Job.from_wire(opened["job"]), until=until))
        except Forbidden as exc:
            raise RegistryRefusal("DENIED", exc.message, fix=exc.fix) from exc

    async def _by_identity(self, blob: str) -> Principal:
        if self._documents is None:
            raise RegistryRefusal(
                "UNAUTHORIZED", "identity documents are not accepted here", fix="set sign_in: whence on the agent"
            )
        instance_id, account_id = self._documents.instance(blob)
        await self._check_instance(instance_id, None)
        return Principal(name=instance_id, kind="instance", account_id=account_id)

    async def _check_instance(self, instance_id: str, enrolment: int | None) -> None:
        try:
            await self._instances.check(instance_id, enrolment)
        except InputError as exc:
            raise RegistryRefusal("UNAUTHORIZED", exc.message, fix=exc.fix) from exc

    async def _check_account(self, account_id: str, repository: Repository) -> None:
        """Raise RegistryRefusal unless instances of an account may pull from a repository."""
        try:
            await self.check_account_pulls(account_id, repository)
        except Forbidden as exc:
            raise RegistryRefusal("DENIED", exc.message, fix=exc.fix) from exc

    async def _why_not(self, principal: Principal, team: str) -> str:
        """Return the reason why a principal may not write for a team; empty if it may. Raises RegistryRefusal."""
        if principal.kind == "instance":
            return "instances may only pull"
        assert principal.caller is not None, "every other principal that may push has a caller"
        try:
            return await self._membership.why_not(principal.caller, team)
        except SignInUnavailable as exc:
            raise unavailable("teams cannot be checked: the team service is unavailable") from exc


def _instance(standing: Standing) -> dict[str, Any]:
    """Return what a token states of an instance."""
    return {
        "name": standing.instance_id,
        "kind": "instance",
        "enrolment": standing.enrolment,
        "account": standing.account_id,
    }


def _not_granted(what: str, repository: Repository) -> RegistryRefusal:
    """Return the refusal of an action outside a token's grant. 401 makes clients request a token with a wider grant."""
    return RegistryRefusal("DENIED", f"this token does not permit {what} {repository}", status=401)


def _granted(principal: Principal, repository: Repository, action: Action) -> bool:
    assert principal.grant is not None
    return action in principal.grant.get(str(repository), [])
