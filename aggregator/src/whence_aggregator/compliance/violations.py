"""The list of violations: failed and unknown verdicts, and instances that run by EC2's listing without a statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.compliance.evidence import SubjectOfRule
from whence_aggregator.compliance.rows import never_spoke, violation, violation_of_kind
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.compliance.rules.live import CATALOGUE, CurrentRules
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.compliance import NEVER_SPOKE, VERDICTS, VERDICTS_OF_KIND
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.owners import owned_by
from whence_aggregator.trace.search import check_amis
from whence_aggregator.trace.silences import AGENT_SILENT
from whence_aggregator.trace.state import States
from whence_aggregator.trace.unowned import names_of_team, unowned_places
from whence_common.clock import parse_instant, to_instant, to_millis
from whence_common.errors import InputError

_NEVER = "never~"
"""The prefix of cursors of instances without a statement: they follow all verdicts, by instance id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedViolations:
    """The filters of violations; None means any."""

    rules: Sequence[str]
    states: States
    verdict: str | None = None
    application: str | None = None
    team: str | None = None
    """The team that owns the application now, else the account."""
    team_as_written: bool = False
    """Only what is of this very name of the team counts, not of others that lead to it: for callers that may read
    resources of no other team."""
    account: str | None = None
    region: str | None = None
    ami: str | None = None
    instance: str | None = None
    since: str | None = None
    until: str | None = None
    kind: SubjectOfRule = "instance"
    """The kind of subject."""
    folded: bool = False
    """Whether verdicts are listed too that fold under a broken link, whose own verdict is listed."""

    @property
    def of_no_instance(self) -> bool:
        """Return whether no subject of another kind can match: only instances have a region, and states."""
        return (
            self.region is not None
            or self.instance is not None
            or (self.account is not None and self.kind != "account")
            or (self.ami is not None and self.kind != "ami")
        )

    @property
    def may_have_never_spoken(self) -> bool:
        """Return whether instances without a statement can match: their AMI and application are not known."""
        return (
            AGENT_SILENT in self.rules
            and self.kind == "instance"
            and self.verdict in (None, "unknown")
            and self.application is None
            and self.ami is None
            and "never" in self.states.heard
            and "running" in self.states.lives
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owned:
    """What a list is filtered by: applications, and those without a team in accounts of the team."""

    everything: bool = False
    applications: Sequence[str] = ()
    unowned: Sequence[str] = ()
    accounts: Sequence[str] = ()
    at_home: Sequence[str] = ()
    """Applications without a team that are in one account alone, which the team owns."""

    def only(self, application: str) -> _Owned:
        """Return the part that is of one application: an account is of none."""
        return _Owned(
            applications=[one for one in self.applications if one == application],
            unowned=[one for one in self.unowned if one == application],
            accounts=self.accounts if application in self.unowned else (),
            at_home=[one for one in self.at_home if one == application],
        )


class Violations:
    """Lists violations."""

    def __init__(
        self,
        *,
        database: Database,
        listening: Listening,
        rules: CurrentRules = CATALOGUE,
        directory: OrganisationDirectory | None = None,
    ) -> None:
        self._directory = directory or OrganisationDirectory(database)
        self._rules_now = rules
        self._database = database
        self._listening = listening

    async def page(
        self, wanted: WantedViolations, *, after: str, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return violations after a cursor, and the cursor of the next page if there is one.

        Raises InputError, and Conflict when instances cannot be found by AMI yet.
        """
        if wanted.ami is not None:
            await check_amis(self._database)
        cursor, found = after or "0~", list[dict[str, Any]]()
        if wanted.kind != "instance":
            found = await self._of_kind(wanted, cursor, limit + 1) if not wanted.of_no_instance else []
        elif not cursor.startswith(_NEVER):
            found = await self._verdicts(wanted, cursor, limit + 1)
            cursor = _NEVER
        if len(found) <= limit and wanted.may_have_never_spoken:
            found += await self._never_spoke(wanted, cursor.removeprefix(_NEVER), limit + 1 - len(found))
        following = found[limit - 1]["cursor"] if len(found) > limit else None
        return found[:limit], following

    async def _verdicts(self, wanted: WantedViolations, cursor: str, limit: int) -> list[dict[str, Any]]:
        number, rule = _place(cursor)
        owned = await self._owned(wanted)
        asked = VERDICTS.bind(
            {
                **wanted.states.to_query(),
                "now": int(wanted.states.now),
                "silent_before": to_millis(self._listening.silent_before),
                "verdict": wanted.verdict,
                "rules": array(wanted.rules),
                "any_application": int(owned.everything),
                "applications": array(owned.applications),
                "unowned": array(owned.unowned),
                "accounts": array(owned.accounts),
                "account": wanted.account,
                "region": wanted.region,
                "ami": wanted.ami,
                "instance": wanted.instance,
                "since": wanted.since,
                "until": wanted.until,
                "folded": int(wanted.folded),
                "after_subject": number,
                "after_rule": rule,
                "limit": limit,
            }
        )
        found = [violation(row) for row in await self._database.fetch(asked)]
        known = self._rules
        return [self._shown(one) for one in found if one["rule"] in known]

    async def _of_kind(self, wanted: WantedViolations, cursor: str, limit: int) -> list[dict[str, Any]]:
        """Return violations of subjects that are not instances."""
        number, rule = _place(cursor)
        owned = await self._owned(wanted)
        asked = VERDICTS_OF_KIND.bind(
            {
                "kind": wanted.kind,
                "folded": int(wanted.folded),
                "verdict": wanted.verdict,
                "rules": array(wanted.rules),
                "any_application": int(owned.everything),
                "applications": array([*owned.applications, *owned.at_home]),
                "accounts": array(owned.accounts if wanted.application is None else ()),
                "id": wanted.ami if wanted.kind == "ami" else wanted.account,
                "since": wanted.since,
                "until": wanted.until,
                "after_subject": number,
                "after_rule": rule,
                "limit": limit,
            }
        )
        return [self._shown(violation_of_kind(row)) for row in await self._database.fetch(asked)]

    async def _never_spoke(self, wanted: WantedViolations, after: str, limit: int) -> list[dict[str, Any]]:
        """Return `unknown` violations of instances that the EC2 API lists as running and that never made a statement.

        They begin `silent_after_seconds` after the launch, which a period filters by.
        """
        owned = await self._owned(wanted)
        asked = NEVER_SPOKE.bind(
            {
                "account": wanted.account,
                "any_account": int(owned.everything),
                "accounts": array(owned.accounts),
                "region": wanted.region,
                "instance": wanted.instance,
                "since": self._launched(wanted.since),
                "until": self._launched(wanted.until),
                "launched_before": to_instant(self._listening.silent_before),
                "after": after,
                "limit": limit,
            }
        )
        rows = await self._database.fetch(asked)
        return [self._shown(never_spoke(row, AGENT_SILENT, self._listening.silent_after, _NEVER)) for row in rows]

    @property
    def _rules(self) -> Mapping[str, Rule]:
        """All rules that may have judged, also those that are not in force, by id."""
        return {one.id: one for one in self._rules_now.current.every}

    async def _owned(self, wanted: WantedViolations) -> _Owned:
        """Return what the team owns, as grouped violations have it: an application's team, else the account's."""
        if wanted.team is None:
            named = wanted.application
            return _Owned(everything=True) if named is None else _Owned(applications=[named])
        team, as_written = wanted.team, wanted.team_as_written
        names = await names_of_team(self._directory, team, as_written=as_written, past=EVERY_ENTRY)
        places = await unowned_places(self._database, self._directory, past=EVERY_ENTRY)
        found = _Owned(
            applications=await owned_by(self._database, team, as_written=as_written, past=EVERY_ENTRY),
            unowned=sorted(places.applications), accounts=places.accounts_of(names), at_home=places.at_home_of(names),
        )  # fmt: skip
        return found if wanted.application is None else found.only(wanted.application)

    def _shown(self, found: Mapping[str, Any]) -> dict[str, Any]:
        rule = self._rules[found["rule"]]
        return {**found, "severity": rule.severity, "remedy": rule.remedy}

    def _launched(self, instant: str | None) -> str | None:
        return to_instant(parse_instant(instant) - self._listening.silent_after) if instant is not None else None


def _place(cursor: str) -> tuple[int, str]:
    """Return the subject and rule of a cursor. Raises InputError."""
    number, _, rule = cursor.partition("~")
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return int(number), rule


def cursor_of_silent(text: str) -> str | None:
    """Return the instance id in a cursor of instances without a statement; None for other cursors."""
    return text.removeprefix(_NEVER) if text.startswith(_NEVER) else None
