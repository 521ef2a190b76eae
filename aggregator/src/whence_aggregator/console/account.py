"""The page of an account: whether it is known what runs there, who is heard, what fails, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from whence_aggregator.console.amounts import amount
from whence_aggregator.console.frame import part
from whence_aggregator.console.page import Visit, WebPage
from whence_aggregator.console.standing import SubjectsStanding, standing_of

_LISTED = "10"
_SILENT = "50"
_PLANS = "5"


async def show_account(visit: Visit) -> WebPage:
    """Show an account of the organisation."""
    account, cursor = visit.path["id"], visit.query.get("cursor", "")
    paged = {"cursor": cursor} if cursor else {}
    stated, silent, coverage, plans = await asyncio.gather(
        visit.ask.get(f"/v1/accounts/{part(account)}"),
        visit.ask.find(f"/v1/accounts/{part(account)}/silent", {"limit": _SILENT, **paged}),
        visit.ask.find("/v1/coverage", {"account": account}),
        visit.ask.find("/v1/account-plans", {"account": account, "limit": _PLANS}),
    )
    summary, violations = await asyncio.gather(
        visit.glance.find("/v1/summary", {"by": "rule", "account": account}),
        visit.ask.find("/v1/violations", {"grouped": "true", "account": account, "limit": _LISTED}),
    )
    sources = [one for one in (coverage["sources"] if coverage is not None else ()) if one["account_id"] == account]
    return WebPage(
        template="account.html",
        title=f"Account {account}",
        values={
            "account": account, "stated": stated, "standing": _standing(account, stated, summary, sources),
            "summary": summary, "regions": stated["regions"], "total": heard_in(stated["regions"]), "sources": sources,
            "violations": violations["violations"] if violations is not None else [],
            "silent": silent["silent"] if silent is not None else [],
            "next": silent["next"] if silent is not None else None, "history": stated["history"],
            "drift": stated.get("drift"), "plans": plans["plans"] if plans is not None else [],
        },
    )  # fmt: skip


def heard_in(regions: list[Any]) -> Mapping[str, int]:
    """Return the sums over regions with a complete listing."""
    listed = [one for one in regions if one["running"] is not None]
    names = ("running", "speaking", "silent", "never", "awaited")
    return {
        **{name: sum(one[name] for one in listed) for name in names},
        "regions": len(regions),
        "listed": len(listed),
    }


def _standing(account: str, stated: Any, summary: Any, sources: list[Any]) -> SubjectsStanding:
    """Return how the account stands: what cannot be read comes before what passes."""
    standing = standing_of(summary, f"of account {stated['name'] or account}")
    unread = [one for one in sources if one["state"] != "read"]
    doubts = (
        [f"{amount(len(unread), 'source')} of it {'is' if len(unread) == 1 else 'are'} not read."] if unread else []
    )
    heard = heard_in(stated["regions"])
    if not heard["listed"]:
        doubts.append("No listing of EC2 is complete: instances that never reported are not known.")
    parts = [
        f"{heard[name]:,} {word}" for name, word in (("silent", "silent"), ("never", "never heard")) if heard[name]
    ]
    if parts:
        doubts.append(f"Of {amount(heard['running'], 'listed instance')}, {' and '.join(parts)}.")
    state = "unknown" if doubts and standing.state == "pass" else standing.state
    return SubjectsStanding(
        state=state, sentence=standing.sentence, why=" ".join(one for one in (standing.why, *doubts) if one)
    )


async def show_accounts(visit: Visit) -> WebPage:
    """List the accounts of the organisation, with who is heard in them."""
    cursor = visit.query.get("cursor", "")
    listed, coverage = await asyncio.gather(
        visit.ask.get("/v1/accounts", {"limit": "50", **({"cursor": cursor} if cursor else {})}),
        visit.ask.find("/v1/coverage", {"by": "source"}),
    )
    groups = coverage["groups"] if coverage is not None else []
    inventory = next((one for one in groups if one["source"] == "inventory"), None)
    return WebPage(
        template="accounts.html",
        title="Accounts",
        values={
            "verdict": _of_inventory(inventory, listed), "at": coverage["at"] if coverage is not None else None,
            "accounts": [
                {**one, "total": heard_in(one["regions"]), "failure": _failure(one["regions"])}
                for one in listed["accounts"]
            ],
            "sources": listed["sources"], "queues": listed["trail_queues"], "next": listed["next"],
        },
    )  # fmt: skip


def _of_inventory(inventory: Any, listed: Any) -> SubjectsStanding:
    if not listed["accounts"]:
        return SubjectsStanding(
            state="unknown", sentence="No account is known",
            why="Accounts are those of the setting `accounts`, and those that a source of the organisation states.",
        )  # fmt: skip
    if inventory is None:
        return SubjectsStanding(
            state="unknown", sentence="What runs in the accounts is known by agents alone",
            why="No inventory is configured: instances that never report are not known.",
        )  # fmt: skip
    accounts, unread = inventory["accounts"], inventory["accounts_unread"]
    if unread:
        was = "was" if accounts - unread == 1 else "were"
        whole = f"{accounts - unread:,} of {amount(accounts, 'account')} {was} read whole"
        sentence = f"{whole}; what runs in {unread:,} is not known"
        reason = inventory["worst"]["reason"] if inventory["worst"] is not None else None
        return SubjectsStanding(state="unknown", sentence=sentence, why=reason or "")
    sentence = "The only account was read whole" if accounts == 1 else f"All {accounts:,} accounts were read whole"
    return SubjectsStanding(state="pass", sentence=sentence)


def _failure(regions: list[Any]) -> Any:
    return next((one["failure"] for one in regions if one["failure"] is not None), None)
