"""Who owns the account that an instance runs in, and whether that is the application's team. Pure.

The account itself is proved by AWS's signature. Who owns it is what sources of the organisation state; what the
application's team is, the application registry. They are independent: where they agree, both links are confirmed.
"""

from __future__ import annotations

from typing import Any

from whence_aggregator.organisation.names import folded
from whence_aggregator.organisation.resolving import Ambiguous, FoundTeam, KnownAccount, StatedBy
from whence_aggregator.trace.evidence import by_agent, by_aws, by_registry
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Evidence, Link, LinkState
from whence_aggregator.trace.owned import Ownership

Grade = tuple[LinkState, str | None]


def account_link(facts: Facts, ownership: Ownership) -> Link:
    """Derive the link `account`."""
    account = ownership.account
    value: dict[str, Any] = {"account_id": facts.binding.identity["account_id"]}
    evidence: tuple[Evidence, ...] = (by_aws(facts), by_agent(facts))
    if account is None:
        state, reason = _unlisted(ownership, str(value["account_id"]))
        return Link(link="account", state=state, value=value, reason=reason, evidence=evidence)
    value |= {
        "name": account.name or None,
        "status": account.status or None,
        "path": account.path or None,
        "owner": _owner(account, ownership),
        "owners": dict(account.owners),
    }
    evidence += _by_sources(account.said)
    state, reason = _compared(facts, ownership, account)
    if state in ("confirmed", "contradicted"):
        evidence += by_registry(facts)
    if reason is None and account.status and not account.active:
        reason = f"the account is {account.status}"
    return Link(link="account", state=state, value=value, reason=reason, evidence=evidence)


def team_link(facts: Facts, ownership: Ownership) -> Link:
    """Derive the link `team`: the one that the application registry names."""
    if facts.application is None:
        named = facts.statement.predicate.application_id
        no_team = f"no team: {named} is not in the application registry" if named else "no team: no application"
        return Link(link="team", state="missing", reason=no_team, evidence=(by_agent(facts),))
    written = str(facts.application.kio.get("team_id"))
    value: dict[str, Any] = {"team_id": written}
    evidence = by_registry(facts)
    team = ownership.names.resolve(written)
    if isinstance(team, Ambiguous):
        return Link(link="team", state="unknown", value=value, reason=_ambiguous(team), evidence=evidence)
    if team is None and ownership.states_teams and not ownership.lapsed:
        unknown = f"no source of teams knows {written}"
        return Link(link="team", state="missing", value=value, reason=unknown, evidence=evidence)
    if team is not None:
        status = "gone" if team.over else "active"
        value |= {"resolved": team.team_id, "name": team.name, "status": status}
        evidence += _by_sources(team.said)
        if team.over and not ownership.lapsed:
            gone = f"no source states the team {team.team_id} any more"
            return Link(link="team", state="missing", value=value, reason=gone, evidence=evidence)
    if ownership.account is None:
        return Link(link="team", state="asserted", value=value, evidence=evidence)
    state, reason = _compared(facts, ownership, ownership.account)
    if state in ("confirmed", "contradicted"):
        evidence += _by_sources(ownership.account.said)
        return Link(link="team", state=state, value=value, reason=reason, evidence=evidence)
    return Link(link="team", state="asserted", value=value, evidence=evidence)


def _unlisted(ownership: Ownership, account_id: str) -> Grade:
    if not ownership.read:
        return "unknown", ownership.unread
    if ownership.lapsed:
        return "unknown", ownership.lapsed
    if ownership.states_accounts:
        return "missing", f"no source of accounts lists {account_id}"
    return "unknown", "no source that was read states any account"


def _compared(facts: Facts, ownership: Ownership, account: KnownAccount) -> Grade:
    """Compare the account's owner with the application's team."""
    if ownership.lapsed:
        return "unknown", ownership.lapsed
    if account.status == "gone":
        return "missing", "no source states the account any more"
    if not account.owners:
        if account.owner_unread:
            return "unknown", "the account's owner was not read yet"
        return "missing", "no source states who owns the account"
    unclear = [found for one in account.owners.values() if isinstance(found := ownership.names.resolve(one), Ambiguous)]
    if unclear:
        return "unknown", _ambiguous(unclear[0])
    owners = {_key(one, ownership) for one in account.owners.values()}
    if len(owners) > 1:
        stated = ", ".join(f"{source} states {owner}" for source, owner in account.owners.items())
        return "contradicted", f"sources disagree about who owns the account: {stated}"
    (owner,) = owners
    if facts.application is None:
        return "asserted", "no registered application to compare the owner with"
    written = str(facts.application.kio.get("team_id"))
    if isinstance(found := ownership.names.resolve(written), Ambiguous):
        return "unknown", _ambiguous(found)
    team = _key(written, ownership)
    if team == owner:
        return "confirmed", None
    if team in {_key(one, ownership) for one in account.allows}:
        return "asserted", f"applications of team {team} are allowed in this account of team {owner}"
    application = facts.statement.predicate.application_id
    return "contradicted", f"the account is of team {owner}, {application} is of team {team}, and nothing allows it"


def _key(written: str, ownership: Ownership) -> str:
    """Return the id of the team that a name leads to, else the name itself: AWS's tags may be all that there is."""
    found = ownership.names.resolve(written)
    return found.team_id if isinstance(found, FoundTeam) else folded(written)


def _owner(account: KnownAccount, ownership: Ownership) -> str | None:
    owners = {_key(one, ownership) for one in account.owners.values()}
    return owners.pop() if len(owners) == 1 else None


def _ambiguous(found: Ambiguous) -> str:
    return f"{found.asked_as} is the name of several teams: {', '.join(found.teams[:5])}"


def _by_sources(said: tuple[StatedBy, ...]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(source=f"organisation:{one.source}", observed_at=one.observed_at, ledger_index=one.ledger_index)
        for one in said
    )
