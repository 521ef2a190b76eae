"""Accounts of the organisation that are not read: each is a violation, and one that cannot be told is unknown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping

import pytest

from fakes.in_process import InProcess
from fakes.organisation import FakeOrganisation
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.covered import CoveredAccounts, EventCoverage
from whence_aggregator.compliance.evidence import AccountOfOrganisation, EventsOutcome, SubjectEvidence
from whence_aggregator.compliance.rows import account_listings
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rules.catalogue import RULES, RulesInForce, judge
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import snapshot
from whence_aggregator.organisation.values import Account
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import ListingsRow
from whence_aggregator.queries.compliance import VERDICTS_OF_SUBJECTS
from whence_aggregator.queries.query import array

ORGANISATION: ConfiguredSource = "organisation"
COVERED, FORGOTTEN, UNLISTED, CLOSED = "111111111111", "222222222222", "333333333333", "444444444444"


class StatedAccounts:
    """The accounts of an organisation, as a test states them."""

    def __init__(self) -> None:
        self.accounts: dict[str, AccountOfOrganisation] = {
            COVERED: AccountOfOrganisation(status="ACTIVE", allowed=True, listed=True, events="read"),
            FORGOTTEN: AccountOfOrganisation(status="ACTIVE", allowed=False, listed=None),
            UNLISTED: AccountOfOrganisation(status="ACTIVE", allowed=True, listed=None),
            CLOSED: AccountOfOrganisation(status="SUSPENDED", allowed=False),
        }

    async def ids(self) -> Collection[str]:
        return list(self.accounts)

    async def of(self, account_ids: Collection[str]) -> Mapping[str, AccountOfOrganisation]:
        return {name: one for name, one in self.accounts.items() if name in account_ids}


@pytest.fixture
def stated() -> StatedAccounts:
    return StatedAccounts()


@pytest.fixture
async def ruled(database: Database, authority: SigningAuthority, stated: StatedAccounts) -> AsyncIterator[InProcess]:
    rules = RulesInForce.of(sources=[ORGANISATION])
    async with InProcess(database, authority, rules=rules, organisation_accounts=stated).running() as house:
        yield house


async def verdicts(house: InProcess) -> dict[str, str]:
    wanted = array([COVERED, FORGOTTEN, UNLISTED, CLOSED])
    rows = await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": wanted}))
    return {row["id"]: row["verdict"] for row in rows}


async def test_an_account_that_nobody_reads_is_a_violation(ruled: InProcess, stated: StatedAccounts) -> None:
    await ruled.evaluator.sweep()
    await ruled.work()
    assert await verdicts(ruled) == {FORGOTTEN: "fail", UNLISTED: "unknown"}
    stated.accounts[FORGOTTEN] = AccountOfOrganisation(status="ACTIVE", allowed=True, listed=True, events="read")
    for _ in range(20):
        await ruled.evaluator.sweep()
    await ruled.work()
    assert await verdicts(ruled) == {FORGOTTEN: "pass", UNLISTED: "unknown"}


def listing(region: str, listed_at: int | None, failed_at: int | None = None, failures: int = 3) -> ListingsRow:
    return {
        "account_id": COVERED, "region": region, "listed_at": listed_at, "instances": 0, "failed_at": failed_at,
        "failure": "access denied" if failed_at is not None else "",
        "failures": failures if failed_at is not None else 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "listed", "reason"),
    [
        ([listing("a", 1), listing("b", 2)], True, ""),
        ([listing("a", 1), listing("b", 2, 3)], False, "b: access denied"),
        ([listing("a", 1), listing("b", 2, 3, failures=2)], True, ""),
        ([listing("a", None, 3)], False, "a: access denied"),
        ([listing("a", None)], None, ""),
    ],
)
def test_an_account_is_listed_when_the_newest_listing_of_each_region_was_complete(
    rows: list[ListingsRow], listed: bool | None, reason: str
) -> None:
    found = account_listings(rows)[COVERED]
    assert (found.listed, found.reason) == (listed, reason)


@pytest.mark.parametrize(
    ("events", "failing", "outcome", "reason"),
    [
        ("read", "", "pass", "the instances of the account are listed, and may enrol"),
        ("not configured", "", "pass", "the instances of the account are listed, and may enrol"),
        ("never", "", "fail", "no log file of CloudTrail of the account was read"),
        ("failed", "eu-west-1", "fail", "the newest log file of CloudTrail could not be read: eu-west-1"),
        (None, "", "unknown", "not known: whether the events of the account are read"),
    ],
)
def test_an_account_whose_events_are_not_read_is_not_covered(
    events: EventsOutcome | None, failing: str, outcome: str, reason: str
) -> None:
    account = AccountOfOrganisation(
        status="ACTIVE", allowed=True, listed=True, events=events, events_failing=failing
    )  # fmt: skip
    (rule,) = (one for one in RULES if one.id == "account-uncovered")
    found = judge(rule, SubjectEvidence(kind="account", account=account))
    assert (found.outcome, found.reason) == (outcome, reason)


class UnreadEvents:
    """Events of accounts, of which some are not read."""

    async def unread(self, account_ids: Collection[str]) -> Mapping[str, str]:
        return {name: region for name, region in {FORGOTTEN: "", UNLISTED: "eu-west-1"}.items() if name in account_ids}


async def test_the_evidence_of_an_account_states_whether_its_events_are_read(house: InProcess) -> None:
    stated = snapshot(
        "file", accounts=[Account(account_id=one, status="ACTIVE") for one in (COVERED, FORGOTTEN, UNLISTED)]
    )  # fmt: skip
    source = {stated.source: FakeOrganisation(stated)}
    await OrganisationRecorder(database=house.database, ledger=house.ledger, sources=source, now=house.clock).read(
        "file"
    )

    async def of(events: EventCoverage | None) -> dict[str, tuple[str | None, str]]:
        covered = CoveredAccounts(
            database=house.database, directory=OrganisationDirectory(house.database), allowed={COVERED}, lists=False,
            events=events, drifts=None,
        )  # fmt: skip
        return {name: (one.events, one.events_failing) for name, one in (await covered.of(await covered.ids())).items()}

    assert await of(UnreadEvents()) == {
        COVERED: ("read", ""), FORGOTTEN: ("never", ""), UNLISTED: ("failed", "eu-west-1"),
    }  # fmt: skip
    assert (await of(None))[COVERED] == ("not configured", "")
