"""Summaries: how many verdicts pass, fail or are unknown, by team, account or rule, now or by a daily snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from whence_aggregator.compliance.evidence import SubjectOfRule
from whence_aggregator.ledger.kinds import EVERY_ACCOUNT
from whence_aggregator.organisation.directory import OrganisationDirectory, team_of
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.projections.verdict_counts import OF_SUBJECT
from whence_aggregator.queries.query import array
from whence_aggregator.queries.reports import (
    APPLICATION_COUNTS_OF_DAYS,
    COUNTS_OF_ACCOUNT,
    COUNTS_OF_DAYS,
    COUNTS_OF_RULES_BY_ACCOUNT,
    COUNTS_OF_RULES_BY_TEAM,
    NEWEST_SUMMARY_BY,
    SUMMARY_DAYS,
    TEAMS_OF_APPLICATIONS,
    TOTALS,
    TOTALS_AT,
    TOTALS_BY_TEAM,
    TOTALS_BY_TEAM_AT,
    TOTALS_OF_DAYS,
    UNHEARD_BY_ACCOUNT,
    UNHEARD_OF_ACCOUNT,
    CountsOfDaysParameters,
)
from whence_aggregator.reports.counted import (
    CountedGroup,
    CountKey,
    Counts,
    DayOfCount,
    NamedCounts,
    by_day,
    grouped,
    standing_at,
)
from whence_aggregator.reports.owned_counts import OwnedCounts, group_of_no_team, owner_of
from whence_aggregator.reports.rows import (
    SummaryDay,
    counts_by_key,
    days_of_counts,
    days_of_totals,
    summary_days,
    teams_of,
    totals,
    totals_by_account,
    totals_by_team,
    unheard,
)
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.owners import owned_by
from whence_aggregator.trace.unowned import UnownedPlaces
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import InputError

GroupedBy = Literal["team", "account", "rule"]
GROUPS: tuple[GroupedBy, ...] = ("team", "account", "rule")
DAYS_MAX = 400
"""The longest trend: a year, and a month to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSummary:
    """What a summary is of; None means any. `rules`: None for every rule, and for the subjects themselves."""

    by: GroupedBy = "rule"
    rules: Sequence[str] | None = None
    team: str | None = None
    team_as_written: bool = False
    account: str | None = None
    kind: SubjectOfRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A summary. `at` is when the verdicts stood; `snapshot` is the one that it is from, None for the present."""

    by: GroupedBy
    at: str
    asked_at: str
    """The moment that was asked about: a snapshot may be a day older."""
    snapshot: SummaryDay | None
    groups: Mapping[str | None, CountedGroup]
    everything: CountedGroup
    unheard: Mapping[str, int] | None
    """Instances that run and never made a statement, by account; None where it is not known for the question."""

    @property
    def age_seconds(self) -> float:
        """Return how much older the counts are than the moment that was asked about."""
        return (parse_instant(self.asked_at) - parse_instant(self.at)).total_seconds()

    def to_wire(self) -> dict[str, object]:
        shown = self.snapshot
        return {
            "by": self.by,
            "at": self.at,
            "age_seconds": self.age_seconds,
            "snapshot": {"day": shown.day, "ledger_index": shown.ledger_index} if shown is not None else None,
            "groups": [
                {self.by: name, **one.to_wire(), **self._unheard(name)}
                for name, one in sorted(self.groups.items(), key=lambda item: (item[0] is None, item[0] or ""))
            ],
            "total": {**self.everything.to_wire(), "unheard": self._unheard_total},
        }

    @property
    def _unheard_total(self) -> int | None:
        return sum(self.unheard.values()) if self.unheard is not None else None

    def _unheard(self, name: str | None) -> dict[str, object]:
        if self.by != "account":
            return {}
        return {"unheard": self.unheard.get(name or "", 0) if self.unheard is not None else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendDay:
    """The verdicts of a day, by its snapshot; `counts` is None for a day without one."""

    day: str
    counts: Counts | None
    ledger_index: int | None

    def to_wire(self) -> dict[str, object]:
        verdicts = self.counts.to_wire() if self.counts is not None else None
        return {"day": self.day, "verdicts": verdicts, "ledger_index": self.ledger_index}


class Summaries:
    """Reads counts; no verdict is read."""

    def __init__(
        self,
        *,
        database: Database,
        listening: Listening,
        unheard_kept_seconds: float = 0.0,
        directory: OrganisationDirectory | None = None,
    ) -> None:
        """`unheard_kept_seconds`: how long unheard instances of all accounts, and their owners, are kept."""
        self._database = database
        self._unheard_kept_seconds = unheard_kept_seconds
        self._listening = listening
        self._directory = directory or OrganisationDirectory(database)
        self._kept_unheard: tuple[datetime, Mapping[str, int]] | None = None
        self._owned = OwnedCounts(database=database, directory=self._directory, kept_seconds=unheard_kept_seconds)

    async def of(self, wanted: WantedSummary, moment: Moment) -> Summary:
        """Return a summary, for a time that is past by the newest snapshot by then. Raises NotFound without one."""
        if moment.is_now:
            rows, snapshot, at = await self._now(wanted, moment), None, moment.at
        else:
            rows, snapshot = await self._then(wanted, moment)
            at = snapshot.at
        teams = await self._teams(rows, moment.past) if wanted.by == "team" else {}
        groups, everything = grouped(rows, lambda name: _name(wanted.by, name, teams))
        groups = {name: one for name, one in groups.items() if wanted.by != "rule" or name != OF_SUBJECT}
        return Summary(
            by=wanted.by, at=at, asked_at=moment.at, snapshot=snapshot, groups=groups, everything=everything,
            unheard=await self._unheard(wanted, moment),
        )  # fmt: skip

    async def trend(self, wanted: WantedSummary, moment: Moment, *, since: str, until: str) -> list[TrendDay]:
        """Return the verdicts of each day, from `since` to `until`, by their snapshots. Raises InputError."""
        days = _days(since, until)
        taken = summary_days(
            await self._database.fetch(SUMMARY_DAYS.bind({"since": since, "until": until, "limit": DAYS_MAX}))
        )
        rows = await self._trend_rows(wanted, until, moment)
        counts = dict(by_day(rows, [one.day for one in taken]))
        index = {one.day: one.ledger_index for one in taken}
        return [TrendDay(day=day, counts=counts.get(day), ledger_index=index.get(day)) for day in days]

    async def _now(self, wanted: WantedSummary, moment: Moment) -> list[NamedCounts]:
        """Return the counts by the narrowest way: sums that are kept, or the counts of one account, team or rules."""
        if wanted.team is not None:
            counts = await self._owned.of_team(wanted.team, wanted.team_as_written, moment)
            return await self._named(counts, wanted, moment)
        if wanted.account is not None:
            of_account = COUNTS_OF_ACCOUNT.bind({"account_id": wanted.account})
            return await self._named(counts_by_key(await self._database.fetch(of_account)), wanted, moment)
        return _of_wanted(await self._totals(wanted, moment), wanted)

    async def _totals(self, wanted: WantedSummary, moment: Moment) -> list[NamedCounts]:
        """Return sums over all accounts and teams, of the rules that are wanted; by rule, of all."""
        rules, past = array(wanted.rules or ()), moment.past
        if wanted.by == "team":
            asked = COUNTS_OF_RULES_BY_TEAM.bind({"rules": rules, "past": past})
            totalled = TOTALS_BY_TEAM.bind({"past": past})
            found = await self._database.fetch(totalled if wanted.rules is None else asked)
            return await self._owned.by_team(totals_by_team(found), wanted.rules, moment)
        if wanted.by == "account" and wanted.rules is not None:
            return totals_by_account(await self._database.fetch(COUNTS_OF_RULES_BY_ACCOUNT.bind({"rules": rules})))
        return totals(await self._database.fetch(TOTALS.bind({"scope": wanted.by})))

    async def _then(self, wanted: WantedSummary, moment: Moment) -> tuple[list[NamedCounts], SummaryDay]:
        taken = summary_days(await self._database.fetch(NEWEST_SUMMARY_BY.bind({"at": moment.at})))
        if not taken:
            raise NotFound(
                "summary-unknown", f"no snapshot of the summary was taken by {moment.at}",
                fix="ask about a later time: a snapshot is taken each day",
            )  # fmt: skip
        (snapshot,) = taken
        if wanted.team is None and wanted.account is None and (wanted.rules is None or wanted.by == "rule"):
            return _of_wanted(await self._totals_at(wanted, snapshot.day, moment), wanted), snapshot
        standing = standing_at(await self._of_days(wanted, snapshot.day, moment), snapshot.day)
        return await self._named(standing, wanted, moment), snapshot

    async def _totals_at(self, wanted: WantedSummary, day: str, moment: Moment) -> list[NamedCounts]:
        if wanted.by == "team":
            asked = TOTALS_BY_TEAM_AT.bind({"day": day, "past": moment.past})
            found = totals_by_team(await self._database.fetch(asked))
            of_teams = [one for one in found if one.name]
            if len(of_teams) == len(found):
                return of_teams
            places = await self._owned.places(moment)
            rows = await self._days_of(sorted(places.applications), wanted, day)
            standing = standing_at(rows, day).items()
            return [*of_teams, *(NamedCounts(group_of_no_team(places, key), key.kind, key.rule == OF_SUBJECT, one)
                                 for key, one in standing)]  # fmt: skip
        return totals(await self._database.fetch(TOTALS_AT.bind({"scope": wanted.by, "day": day})))

    async def _trend_rows(self, wanted: WantedSummary, until: str, moment: Moment) -> list[DayOfCount]:
        """Return what a trend sums up: sums of rules or of the account, or the counts of a team's applications."""
        account, rules = wanted.account, wanted.rules
        if wanted.team is not None or (account is not None and rules is not None):
            return await self._of_days(wanted, until, moment)
        names = [account] if account is not None else rules
        asked = TOTALS_OF_DAYS.bind(
            {
                "scope": "account" if account is not None else "rule", "until": until, "kind": wanted.kind,
                "any_name": int(names is None), "names": array(names or ()),
            }
        )  # fmt: skip
        return days_of_totals(await self._database.fetch(asked))

    async def _of_days(self, wanted: WantedSummary, until: str, moment: Moment) -> list[DayOfCount]:
        if wanted.team is None:
            return days_of_counts(await self._database.fetch(COUNTS_OF_DAYS.bind(_filters(wanted, until))))
        applications = await self._applications(wanted.team, wanted, moment)
        found = await self._days_of(applications, wanted, until)
        places, names = (
            await self._owned.places(moment),
            await self._owned.names(wanted.team, wanted.team_as_written, moment),
        )
        if not places.accounts_of(names):
            return found
        more = await self._days_of(sorted(places.applications), wanted, until)
        return [*found, *(one for one in more if owner_of(places, one.key) in names)]

    async def _days_of(self, applications: Sequence[str], wanted: WantedSummary, until: str) -> list[DayOfCount]:
        asked = APPLICATION_COUNTS_OF_DAYS.bind({**_filters(wanted, until), "applications": array(applications)})
        return days_of_counts(await self._database.fetch(asked))

    async def _applications(self, team: str, wanted: WantedSummary, moment: Moment) -> list[str]:
        """Return the applications of the team."""
        return await owned_by(self._database, team, as_written=wanted.team_as_written, past=moment.past)

    async def _named(
        self, counts: Mapping[CountKey, Counts], wanted: WantedSummary, moment: Moment
    ) -> list[NamedCounts]:
        """Return the counts that are wanted, each by the name of its group; by team, the one that is written."""
        kept = {key: one for key, one in counts.items() if _is_wanted(key, wanted)}
        written: Mapping[str, str] = {}
        places = UnownedPlaces()
        if wanted.by == "team":
            places = await self._owned.places(moment)
            applications = array(sorted({key.application_id for key in kept}))
            asked = TEAMS_OF_APPLICATIONS.bind({"applications": applications, "past": moment.past})
            written = teams_of(await self._database.fetch(asked))
        return [
            NamedCounts(_group(wanted.by, key, written, places), key.kind, key.rule == OF_SUBJECT, one)
            for key, one in kept.items()
        ]

    async def _teams(self, rows: Sequence[NamedCounts], past: int) -> Mapping[str, str]:
        """Return the team of each name: the one that it leads to, else the name."""
        written = sorted({one.name for one in rows if one.name})
        led = await self._directory.resolve(written, past=past)
        return {team: team_of(led[team]) or team for team in written}

    async def _unheard(self, wanted: WantedSummary, moment: Moment) -> Mapping[str, int] | None:
        if not moment.is_now or wanted.team is not None or wanted.rules is not None:
            return None
        silent_before = self._listening.silent_before
        before = to_instant(silent_before)
        if wanted.account is not None:
            of_account = UNHEARD_OF_ACCOUNT.bind({"launched_before": before, "account_id": wanted.account})
            return unheard(await self._database.fetch(of_account))
        if self._kept_unheard is not None and self._unheard_kept_seconds:
            kept_at, kept = self._kept_unheard
            if (silent_before - kept_at).total_seconds() < self._unheard_kept_seconds:
                return kept
        found = unheard(await self._database.fetch(UNHEARD_BY_ACCOUNT.bind({"launched_before": before})))
        self._kept_unheard = silent_before, found
        return found


def _filters(wanted: WantedSummary, until: str) -> CountsOfDaysParameters:
    return {
        "until": until, "account": wanted.account, "kind": wanted.kind, "any_rule": int(wanted.rules is None),
        "rules": array(wanted.rules or ()),
    }  # fmt: skip


def _of_wanted(found: Sequence[NamedCounts], wanted: WantedSummary) -> list[NamedCounts]:
    """Return the sums of the kind that is wanted; those by rule have names of rules."""
    rules = wanted.rules if wanted.by == "rule" else None
    return [one for one in found if wanted.kind in (None, one.kind) and (rules is None or one.name in rules)]


def _is_wanted(key: CountKey, wanted: WantedSummary) -> bool:
    return (
        wanted.account in (None, key.account_id)
        and wanted.kind in (None, key.kind)
        and (wanted.rules is None or key.rule in wanted.rules)
    )


def _group(by: GroupedBy, key: CountKey, written: Mapping[str, str], places: UnownedPlaces) -> str | None:
    """Return the name of a count's group; by team, the one that is written."""
    if by == "team":
        return written.get(key.application_id) or group_of_no_team(places, key)
    return key.account_id if by == "account" else key.rule


def _name(by: GroupedBy, name: str, teams: Mapping[str, str]) -> str | None:
    """Return the group of a count; None for what is of no team, or of no single account."""
    if by == "team":
        return teams.get(name)
    return None if by == "account" and name == EVERY_ACCOUNT else name


def _days(since: str, until: str) -> list[str]:
    try:
        first, last = date.fromisoformat(since), date.fromisoformat(until)
    except ValueError as exc:
        raise InputError("parameter-malformed", f"not a day: {exc}", fix="write it like 2026-11-22") from exc
    if first > last or (last - first).days >= DAYS_MAX:
        fix = f"pass a `to` that is not before `from`, and at most {DAYS_MAX} days"
        raise InputError("parameter-malformed", f"no trend from {since} to {until}", fix=fix)
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
