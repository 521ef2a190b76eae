"""Who may pull and push: people and services by OAuth, callers of the aggregator, instances by tokens of ours.

What is not configured denies. Decided from headers alone, before any body is read.
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
from whence_aggregator.registry.identity_documents import IdentityDocuments
from whence_aggregator.registry.instances import Instances
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_aggregator.registry.standing import Standing
from whence_common import strict_base64
from whence_common.clock import Now
from whence_common.errors import InputError

GRANT_SECONDS = 300
RENEWAL_SECONDS = 3600
"""For how long an instance may have its engine renew a pull token: a pull of an hour."""
_TOKEN_CHARACTERS_MAX = 16_384
_EVERYTHING = "*"
"""Asks for all that the caller may do: skopeo does so before it deletes."""
CATALOG = "registry:catalog"
"""In a grant, like the name of a repository, which has no colon: the right to list repositories, all there are."""
IDENTITY_USER = "instance-identity-document"
Action = Literal["pull", "push"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls. `grant` are the only repositories and actions that a token is for."""

    name: str
    kind: Literal["caller", "person", "job", "instance", "public"]
    """By a token of the file, by one of an issuer or service, a CI system's job, an instance, or nobody."""
    caller: Caller | None = None
    """Whoever signed in; None for instances, for nobody, and for a person's granted token."""
    token_hash: str = ""
    """Of a caller: by it a granted token is good no longer than the one it was granted for."""
    grant: Mapping[str, list[str]] | None = None

    @property
    def job(self) -> Job | None:
        return self.caller.job if self.caller is not None else None


PUBLIC = Principal(name="", kind="public")


class Access:
    """Decides. Everybody writes for `open_teams`."""

    def __init__(
        self,
        *,
        sign_in: Authenticator,
        membership: Membership,
        documents: IdentityDocuments | None,
        instances: Instances,
        public_read: bool,
        open_teams: frozenset[str],
        seal: Seal,
        now: Now,
    ) -> None:
        self._sign_in = sign_in
        self._membership = membership
        self._documents = documents
        self._instances = instances
        self._public_read = public_read
        self._open_teams = open_teams
        self._seal = seal
        self._now = now

    async def authenticate(self, authorization: str, *, client: str = "") -> Principal:
        """Say who calls, from which client. Raises RegistryRefusal."""
        if not authorization:
            if self._public_read or self._open_teams:
                return PUBLIC
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        scheme, _, rest = authorization[:_TOKEN_CHARACTERS_MAX].partition(" ")
        if scheme.lower() in ("bearer", "token"):
            return await self._by_token(rest.strip(), client)
        if scheme.lower() != "basic":
            raise RegistryRefusal("UNAUTHORIZED", "only Basic and Bearer are understood")
        user, _, password = _basic(rest.strip())
        if user == IDENTITY_USER:
            return await self._by_identity(password)
        if user != "oauth2":
            raise RegistryRefusal("UNAUTHORIZED", "the user must be oauth2, and the password the token")
        return await self._by_token(password, client)

    def check_pull(self, principal: Principal, repository: Repository) -> None:
        """Let those read who may read the team's; a granted token, only what it is for. Raises RegistryRefusal."""
        if principal.kind == "public" and not self._public_read and not self._is_open(repository):
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        if principal.grant is not None and not _granted(principal, repository, "pull"):
            raise _not_granted("pulling", repository)
        if principal.caller is not None and not principal.caller.may_read(repository.team):
            raise RegistryRefusal("DENIED", f"{principal.name} may not read what belongs to team {repository.team}")

    def check_list(self, principal: Principal) -> None:
        """Let repositories be listed, which names all there are, by people and services. Raises RegistryRefusal."""
        if principal.kind == "public" and not self._public_read:
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        if principal.grant is not None and CATALOG not in principal.grant:
            raise RegistryRefusal("DENIED", "this token is not for listing repositories", status=401)
        if principal.kind == "instance":
            raise RegistryRefusal("DENIED", "instances pull images: they list no repositories")
        if principal.caller is not None and not principal.caller.reads_everything:
            raise RegistryRefusal("DENIED", f"{principal.name} may not list what belongs to all teams")

    async def check_push(self, principal: Principal, repository: Repository) -> None:
        """Let only those write who write for the repository's team. Raises RegistryRefusal."""
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
        """Give a token for what the principal may do of what it asks for. Raises RegistryRefusal."""
        if principal.grant is not None:
            raise RegistryRefusal("UNAUTHORIZED", "a granted token is not renewed: sign in again")
        grant: dict[str, list[str]] = {}
        if catalog:
            with suppress(RegistryRefusal):
                self.check_list(principal)
                grant[CATALOG] = ["*"]
        for repository, actions in wanted:
            allowed: list[str] = []
            if "pull" in actions or _EVERYTHING in actions:
                with suppress(RegistryRefusal):
                    self.check_pull(principal, repository)
                    allowed.append("pull")
            if "push" in actions or _EVERYTHING in actions:
                try:
                    await self.check_push(principal, repository)
                    allowed.append("push")
                except RegistryRefusal as exc:
                    if exc.code not in ("DENIED", "UNAUTHORIZED"):
                        raise
            grant[str(repository)] = sorted({*allowed, *grant.get(str(repository), [])})
        who: dict[str, Any] = {"name": principal.name, "kind": principal.kind, "by": principal.token_hash}
        caller, seconds = principal.caller, float(GRANT_SECONDS)
        if principal.job is not None:
            who["job"] = principal.job.to_wire()
        if caller is not None and caller.until is not None:
            seconds = min(seconds, (caller.until - self._now()).total_seconds())
        return self._sealed(who, grant, seconds=seconds)

    async def _by_token(self, token: str, client: str) -> Principal:
        if not token.isascii():
            raise RegistryRefusal("UNAUTHORIZED", "the token has characters that no token has")
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
            raise unavailable("tokens cannot be checked now") from exc
        if caller.subject is None:
            return Principal(name=caller.name, kind="caller", caller=caller, token_hash=token_hash(token))
        return Principal(name=caller.name, kind="person" if caller.job is None else "job", caller=caller)

    def instance_token(self, standing: Standing, repository: Repository) -> str:
        """Give a token by which an instance pulls from one repository, as long as the binding is its newest."""
        return self._sealed(
            {"name": standing.instance_id, "kind": "instance", "enrolment": standing.enrolment},
            {str(repository): ["pull"]},
        )

    def instance_renewal(self, standing: Standing, repository: Repository) -> str:
        """Give what an instance's engine has such tokens renewed by, and what nothing can be pulled by."""
        return self._sealed(
            {"name": standing.instance_id, "kind": "instance", "enrolment": standing.enrolment, "renews": True},
            {str(repository): ["pull"]},
            seconds=RENEWAL_SECONDS,
        )

    async def renewed(self, token: str) -> str | None:
        """Give another pull token for what renews them; None for anything else. Raises RegistryRefusal."""
        opened = self._seal.open(token)
        if opened is None or not opened.get("renews"):
            return None
        self._check_until(opened)
        await self._check_instance(opened["name"], opened["enrolment"])
        who = {name: opened[name] for name in ("name", "kind", "enrolment")}
        return self._sealed(who, opened["grant"])

    def _sealed(self, who: dict[str, Any], grant: Mapping[str, list[str]], *, seconds: float = GRANT_SECONDS) -> str:
        until = (self._now() + timedelta(seconds=seconds)).timestamp()
        return self._seal.seal({**who, "grant": grant, "until": until})

    def _check_until(self, opened: Mapping[str, Any]) -> None:
        if opened["until"] <= self._now().timestamp():
            raise RegistryRefusal("UNAUTHORIZED", "the token has expired")

    async def _by_grant(self, opened: dict[str, Any]) -> Principal:
        self._check_until(opened)
        if opened.get("renews"):
            raise RegistryRefusal("UNAUTHORIZED", "this token renews others: show it to the token endpoint only")
        if opened["kind"] == "instance":
            await self._check_instance(opened["name"], opened.get("enrolment"))
        name, kind, grant = opened["name"], opened["kind"], opened["grant"]
        if kind == "job":
            return Principal(name=name, kind=kind, caller=self._job(opened), grant=grant)
        if kind != "caller":
            return Principal(name=name, kind=kind, grant=grant)
        by = opened.get("by", "")
        caller = self._sign_in.static(by)
        if caller is None:
            raise RegistryRefusal("UNAUTHORIZED", "the token that this one was granted for is not known any more")
        return Principal(name=caller.name, kind="caller", caller=caller, token_hash=by, grant=grant)

    def _job(self, opened: Mapping[str, Any]) -> Caller:
        """Judge a job again, by the rules of now."""
        until = datetime.fromtimestamp(opened["until"], self._now().tzinfo)
        try:
            return self._sign_in.caller_of_session(Session(job=Job.from_wire(opened["job"]), until=until))
        except Forbidden as exc:
            raise RegistryRefusal("DENIED", exc.message, fix=exc.fix) from exc

    async def _by_identity(self, blob: str) -> Principal:
        if self._documents is None:
            raise RegistryRefusal(
                "UNAUTHORIZED", "identity documents are not taken here", fix="set sign_in: whence on the agent"
            )
        instance_id = self._documents.instance(blob)
        await self._check_instance(instance_id, None)
        return Principal(name=instance_id, kind="instance")

    async def _check_instance(self, instance_id: str, enrolment: int | None) -> None:
        try:
            await self._instances.check(instance_id, enrolment)
        except InputError as exc:
            raise RegistryRefusal("UNAUTHORIZED", exc.message, fix=exc.fix) from exc

    async def _why_not(self, principal: Principal, team: str) -> str:
        """Say why somebody may not write for a team; empty when they may."""
        if principal.kind == "instance":
            return "instances only pull"
        assert principal.caller is not None, "who signed in is known"
        try:
            return await self._membership.why_not(principal.caller, team)
        except SignInUnavailable as exc:
            raise unavailable("teams cannot be checked now") from exc


def _not_granted(what: str, repository: Repository) -> RegistryRefusal:
    """With 401 clients ask for a token that is for more; who may not do more gets one that is not."""
    return RegistryRefusal("DENIED", f"this token is not for {what} {repository}", status=401)


def _granted(principal: Principal, repository: Repository, action: Action) -> bool:
    assert principal.grant is not None
    return action in principal.grant.get(str(repository), [])


def _basic(encoded: str) -> tuple[str, str, str]:
    try:
        return strict_base64.decode(encoded).decode("utf-8").partition(":")
    except ValueError as exc:
        raise RegistryRefusal("UNAUTHORIZED", "the Authorization header is malformed") from exc
