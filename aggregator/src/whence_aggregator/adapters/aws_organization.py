"""AWS Organizations: accounts with their state, organisational units and tags. All calls read.

Quotas of single calls are not published, and concurrent calls are throttled soon. So calls are made one after another:
one a page of accounts, two an organisational unit, and one an account for its tags, as many as a reading has time for.
Tags that were read longest ago come first, and the others stay as they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from aiobotocore.config import AioConfig

from whence_aggregator.adapters.aws_refusals import FAILURES, refusal, why
from whence_aggregator.adapters.aws_session import aws_session
from whence_aggregator.organisation.names import shown
from whence_aggregator.organisation.snapshots import ACCOUNTS_MAX, snapshot
from whence_aggregator.organisation.values import Account, AccountField, Snapshot
from whence_aggregator.ports import SourceUnavailable

_REQUEST_SECONDS_MAX = 20.0
_PAGE_ACCOUNTS = 20
PAGES_MAX = 5_000
"""Of one list; empty pages count too, for AWS may send any number of them."""
UNITS_MAX = 5_000
DEPTH_MAX = 10
"""AWS allows five levels of organisational units."""
_ROLE_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsOrganization:
    """How the organisation is read. Our own credentials are the SDK's usual ones."""

    region: str
    role_arn: str | None
    session_name: str
    owner_tag: str
    tags: tuple[str, ...] = ()
    endpoint_url: str | None
    tag_seconds_between: float = 0.1
    tags_seconds_max: float = 300.0
    """How long one reading asks for tags."""
    attempts_max: int = 4
    """Of one call, with the SDK's own pauses between them; the worker's follow after that."""
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float]
    _tags_read_at: dict[str, float] = field(default_factory=dict)

    async def read(self) -> Snapshot:
        """Read all accounts. Raises SourceUnavailable where not all could be listed."""
        async with AsyncExitStack() as stack:
            try:
                organizations = await self._client(stack)
                listed = [one async for one in _pages(organizations.list_accounts, "Accounts", self.region)]
            except FAILURES as exc:
                raise _unavailable(exc) from exc
            if not listed:
                message = "AWS Organizations lists no account at all: the role may be in no organisation's account"
                raise SourceUnavailable("aws-organization-empty", message)
            if len(listed) > ACCOUNTS_MAX:
                raise SourceUnavailable("organisation-too-large", f"over {ACCOUNTS_MAX} accounts are listed")
            paths, notes = await self._paths(organizations)
            tagged, tag_notes = await self._tags(organizations, [str(one.get("Id", "")) for one in listed])
        accounts = [self._account(one, paths, tagged) for one in listed]
        return snapshot("aws", accounts=accounts, notes=[*notes, *tag_notes])

    async def check(self) -> None:
        """Ask for one page of accounts. Raises SourceUnavailable."""
        async with AsyncExitStack() as stack:
            try:
                organizations = await self._client(stack)
                await organizations.list_accounts(MaxResults=1)
            except FAILURES as exc:
                raise _unavailable(exc) from exc

    async def _client(self, stack: AsyncExitStack) -> Any:
        session = aws_session()
        config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            retries={"max_attempts": self.attempts_max, "mode": "standard"},
        )
        made = {"region_name": self.region, "endpoint_url": self.endpoint_url, "config": config}
        keys = {}
        if self.role_arn is not None:
            async with session.create_client("sts", **made) as sts:
                answer = await sts.assume_role(
                    RoleArn=self.role_arn, RoleSessionName=self.session_name, DurationSeconds=_ROLE_SECONDS
                )
            given = answer["Credentials"]
            keys = {
                "aws_access_key_id": given["AccessKeyId"],
                "aws_secret_access_key": given["SecretAccessKey"],
                "aws_session_token": given["SessionToken"],
            }
        return await stack.enter_async_context(session.create_client("organizations", **made, **keys))

    async def _paths(self, organizations: Any) -> tuple[dict[str, str], list[str]]:
        """Walk the tree once; return where each account is, and what could not be read."""
        found: dict[str, str] = {}
        seen = set[str]()
        try:
            roots = [one async for one in _pages(organizations.list_roots, "Roots", self.region)]
            waiting = [(str(one["Id"]), _step(one), 0) for one in roots]
            while waiting:
                parent, path, depth = waiting.pop()
                if parent in seen or len(seen) >= UNITS_MAX or depth > DEPTH_MAX:
                    continue
                seen.add(parent)
                accounts = _pages(organizations.list_accounts_for_parent, "Accounts", self.region, ParentId=parent)
                async for one in accounts:
                    found[str(one.get("Id", ""))] = path
                units = _pages(
                    organizations.list_organizational_units_for_parent, "OrganizationalUnits", self.region,
                    ParentId=parent,
                )  # fmt: skip
                waiting += [(str(one["Id"]), f"{path}/{_step(one)}", depth + 1) async for one in units]
        except (*FAILURES, SourceUnavailable, KeyError) as exc:
            return found, [f"organisational units were not read whole: {_reason(exc)}"]
        return found, []

    async def _tags(self, organizations: Any, account_ids: list[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
        """Ask for the tags of as many accounts as there is time for, those first that were read longest ago."""
        found: dict[str, dict[str, str]] = {}
        until = self.clock() + self.tags_seconds_max
        for account_id in sorted(account_ids, key=lambda one: (self._tags_read_at.get(one, -1.0), one)):
            if self.clock() >= until:
                return found, [f"tags of {len(account_ids) - len(found)} accounts are left for the next readings"]
            try:
                pages = _pages(organizations.list_tags_for_resource, "Tags", self.region, ResourceId=account_id)
                found[account_id] = {str(one["Key"]): str(one["Value"]) async for one in pages}
            except (*FAILURES, SourceUnavailable, KeyError) as exc:
                left = len(account_ids) - len(found)
                return found, [f"tags of {left} accounts were not read: {_reason(exc)}"]
            self._tags_read_at[account_id] = self.clock()
            await self.wait(self.tag_seconds_between)
        return found, []

    def _account(self, one: dict[str, Any], paths: dict[str, str], tagged: dict[str, dict[str, str]]) -> Account:
        account_id = str(one.get("Id", ""))
        tags = tagged.get(account_id, {})
        unread: list[AccountField] = []
        if account_id not in paths:
            unread.append("path")
        if account_id not in tagged:
            unread += ["owner", "tags"]
        return Account(
            account_id=account_id,
            name=shown(str(one.get("Name", ""))),
            status=shown(str(one.get("State") or one.get("Status") or "")),
            path=paths.get(account_id, ""),
            owner=shown(tags.get(self.owner_tag, "")),
            tags=tuple(sorted((name, shown(tags[name])) for name in self.tags if name in tags)),
            unread=tuple(unread),
        )


async def _pages(call: Any, name: str, region: str, **asked: str) -> AsyncIterator[dict[str, Any]]:
    """Return what all pages of a list hold. An empty page may have a token: the list ends where there is none.

    Raises SourceUnavailable for a list without an end.
    """
    more: dict[str, Any] = {} if name in ("Tags",) else {"MaxResults": _PAGE_ACCOUNTS}
    tokens = set[str]()
    while True:
        page = await call(**asked, **more)
        for one in page.get(name, ()):
            yield one
        token = page.get("NextToken")
        if not token:
            return
        if token in tokens or len(tokens) >= PAGES_MAX:
            message = f"AWS Organizations in {region}: the list of {name} has no end"
            raise SourceUnavailable("aws-organization-endless", message)
        tokens.add(token)
        more["NextToken"] = token


def _step(one: dict[str, Any]) -> str:
    """Return the name of a unit as one segment of a path."""
    return (shown(str(one.get("Name", ""))) or str(one.get("Id", ""))).replace("/", "%2F")


def _reason(exc: BaseException) -> str:
    return exc.message if isinstance(exc, SourceUnavailable) else why(exc)


def _unavailable(exc: BaseException) -> SourceUnavailable:
    """Tell a denial, which lasts until a policy changes, from throttling and everything else."""
    error = refusal(exc)
    if error is not None and error.kind == "throttled":
        return SourceUnavailable(
            "aws-organization-throttled", f"AWS Organizations throttles requests: {error}",
            retry_after_seconds=error.retry_after_seconds,
        )  # fmt: skip
    if error is not None and error.kind == "denied":
        fix = "have the organisation's delegation policy allow organizations:List* to the role (aggregator/README.md)"
        return SourceUnavailable("aws-organization-denied", f"AWS Organizations denies it: {error}", fix=fix)
    return SourceUnavailable("aws-organization-unavailable", f"AWS Organizations cannot be asked: {why(exc)}")
