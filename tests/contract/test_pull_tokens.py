"""Pull tokens: an instance pulls by a fresh proof of the key that it enrolled, while it lives, from one repository."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from fakes.in_process import AUDIENCE, InProcess
from fakes.machine import Machine
from fakes.pulls import FRONT, UNLISTED_SECONDS_MAX, FakeSts, Pulls, pull_request
from fakes.signing_authority import SigningAuthority
from landscape.front import basic_header
from whence_aggregator.agents.challenges import CHALLENGE_SECONDS
from whence_aggregator.ports import Database, StorageUnavailable, T
from whence_aggregator.queries.query import BoundQueries
from whence_aggregator.registry.access import GRANT_SECONDS
from whence_aggregator.registry.instances import KEPT_SECONDS
from whence_aggregator.registry.names import Repository
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_aggregator.registry.standing import LISTING_SECONDS_MAX
from whence_common.errors import WhenceError
from whence_common.keys import public_key_to_wire

ONE, TWO = "i-00000000000000001", "i-00000000000000002"
APP, OTHER = Repository(team="alpha", artifact="app"), Repository(team="alpha", artifact="other")
STARTED = "2026-11-22T11:59:59.000Z"
PLACE = "123456789012/eu-central-1"


async def refusal(pulls: Pulls, machine: Machine, nonce: str | None = None, **changes: object) -> str:
    request = pull_request(machine, nonce or pulls.nonce(), pulls.audience)
    with pytest.raises(WhenceError) as caught:
        await pulls.tokens.token(msgspec.structs.replace(request, **changes))
    return caught.value.code


async def refused(pulls: Pulls, token: str) -> str:
    with pytest.raises(RegistryRefusal) as caught:
        await pulls.principal(token)
    return f"{caught.value.status} {caught.value.message}"


async def listed(house: InProcess, instance_id: str, state: str) -> None:
    house.ec2.listed = {instance_id: (state, STARTED)}
    await house.inventory.collect(PLACE)


async def test_an_instance_enrols_through_the_front_and_pulls_from_one_repository(house: InProcess) -> None:
    pulls, machine = Pulls(house), Machine(house.authority, ONE)
    assert await refusal(pulls, machine) == "key-unknown"
    answer = await pulls.enrol(machine)
    assert (answer["instance_id"], answer["enrolment"]) == (ONE, 1)
    principal = await pulls.principal(await pulls.token(machine))
    assert (principal.name, principal.kind, principal.grant) == (ONE, "instance", {"alpha/app": ["pull"]})
    await pulls.access.check_pull(principal, APP)
    with pytest.raises(RegistryRefusal):
        await pulls.access.check_pull(principal, OTHER)
    with pytest.raises(RegistryRefusal):
        pulls.access.check_list(principal)
    with pytest.raises(RegistryRefusal):
        await pulls.access.check_push(principal, APP)
    with pytest.raises(RegistryRefusal):
        await pulls.access.grant(principal, [(APP, ["pull"])])


async def test_a_key_that_is_enrolled_at_the_aggregator_is_known_to_the_front_and_its_replicas(
    house: InProcess,
) -> None:
    machine = await house.machine(ONE)
    token = await Pulls(house).token(machine)
    assert (await Pulls(house).principal(token)).name == ONE
    assert await house.enrol(machine) == await Pulls(house).enrol(machine), "heartbeats go on with the same key"


async def test_a_proof_is_good_once_however_many_try_at_once(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    request = pull_request(machine, pulls.nonce(), pulls.audience)
    tries = await asyncio.gather(*(pulls.tokens.token(request) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(one, dict) for one in tries) == 1
    assert {one.code for one in tries if isinstance(one, WhenceError)} == {"challenge-unknown"}


async def test_a_proof_does_not_wait(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    nonce = pulls.nonce()
    house.clock.advance(CHALLENGE_SECONDS)
    assert await refusal(pulls, machine, nonce) == "challenge-unknown"
    nonce = pulls.nonce()
    house.clock.advance(CHALLENGE_SECONDS - 0.001)
    await pulls.tokens.token(pull_request(machine, nonce, pulls.audience))


async def test_a_proof_is_for_one_repository_one_registry_and_one_key(house: InProcess) -> None:
    pulls, machine, other = Pulls(house), await house.machine(ONE), await house.machine(TWO)
    assert await refusal(pulls, machine, repository="alpha/other") == "proof-invalid"
    assert await refusal(pulls, machine, public_key=public_key_to_wire(other.key.public_key())) == "proof-invalid"
    assert await refusal(pulls, machine, instance_id=TWO) == "proof-invalid"
    assert await refusal(pulls, machine, instance_id="i-\nx") == "instance-malformed"
    assert await refusal(pulls, machine, proof="AAAA") == "proof-invalid"
    assert await refusal(pulls, machine, proof="!") == "proof-invalid"
    for name in ("alpha", "alpha/*", "../x", "alpha/app\nx", "ALPHA/app", ""):
        assert await refusal(pulls, machine, repository=name) == "repository-malformed"


async def test_a_key_pulls_for_no_other_instance_than_the_one_that_bound_it(house: InProcess) -> None:
    """A machine that was started from the disk of another takes its key for its own."""
    pulls, machine = Pulls(house), await house.machine(ONE)
    machine.instance_id = TWO
    assert await refusal(pulls, machine) == "key-of-other"


@pytest.mark.parametrize("audience", ["registry:evil.example.org", AUDIENCE, FRONT, f"registry:{FRONT}:443"])
async def test_a_proof_that_was_made_for_somebody_else_is_refused(house: InProcess, audience: str) -> None:
    """A hostile registry hands out our challenge as its own, and shows us what an agent signed for it."""
    pulls, machine = Pulls(house), await house.machine(ONE)
    with pytest.raises(WhenceError) as caught:
        await pulls.tokens.token(pull_request(machine, pulls.nonce(), audience))
    assert caught.value.code == "proof-invalid"
    stranger = Machine(house.authority, TWO)
    with pytest.raises(WhenceError) as caught:
        await pulls.enrolments.enrol(stranger.request(pulls.nonce(), audience))
    assert caught.value.code == "proof-invalid"


async def test_challenges_of_aggregator_and_fronts_are_none_of_each_other(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    assert await refusal(pulls, machine, await house.nonce()) == "challenge-unknown"
    assert await refusal(pulls, machine, Pulls(house, name="other.example.org").nonce()) == "challenge-unknown"
    with pytest.raises(WhenceError) as caught:
        await house.enrolments.enrol(Machine(house.authority, TWO).request(pulls.nonce(), AUDIENCE))
    assert caught.value.code == "challenge-unknown"


async def test_a_proof_of_enrolment_is_no_proof_for_a_token(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    nonce = pulls.nonce()
    assert await refusal(pulls, machine, nonce, proof=machine.request(nonce, pulls.audience).proof) == "proof-invalid"
    request = machine.request(nonce, pulls.audience)
    proof = pull_request(machine, nonce, pulls.audience).proof
    with pytest.raises(WhenceError) as caught:
        await pulls.enrolments.enrol(msgspec.structs.replace(request, proof=proof))
    assert caught.value.code == "proof-invalid"


async def test_a_token_ends_after_minutes_and_cannot_be_changed(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    token = await pulls.token(machine)
    for place in (0, 20, len(token) // 2, len(token) - 3):
        bent = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert (await refused(pulls, bent)).startswith("401")
    house.clock.advance(GRANT_SECONDS - 0.001)
    await pulls.principal(token)
    house.clock.advance(0.001)
    assert await refused(pulls, token) == "401 the token has expired"


async def test_a_token_is_renewed_for_an_hour_by_what_pulls_nothing_itself(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    given = await pulls.tokens.token(pull_request(machine, pulls.nonce(), pulls.audience))
    refresh = str(given["refresh_token"])
    assert given["refresh_expires_in"] == 3600
    assert await refused(pulls, refresh) == "401 this token only renews pull tokens: send it to the token endpoint"
    assert await pulls.access.renewed(str(given["token"])) is None, "a pull token renews nothing"
    house.clock.advance(3599.0)
    renewed = await pulls.access.renewed(refresh)
    assert renewed is not None
    assert (await pulls.principal(renewed)).grant == {"alpha/app": ["pull"]}
    house.clock.advance(1.0)
    await pulls.principal(renewed)
    with pytest.raises(RegistryRefusal, match="has expired"):
        await pulls.access.renewed(refresh)


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
async def test_an_instance_that_ended_renews_nothing(house: InProcess, state: str) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    given = await pulls.tokens.token(pull_request(machine, pulls.nonce(), pulls.audience))
    await listed(house, ONE, state)
    house.clock.advance(60.0)
    with pytest.raises(RegistryRefusal):
        await pulls.access.renewed(str(given["refresh_token"]))


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
async def test_an_instance_that_ended_is_given_no_token_and_soon_loses_the_one_it_had(
    house: InProcess, state: str
) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    token = await pulls.token(machine)
    await pulls.principal(token)
    await listed(house, ONE, state)
    assert await refusal(pulls, machine) == "instance-ended"
    house.clock.advance(KEPT_SECONDS)
    assert await refused(pulls, token) == f"401 instance {ONE} is {state}: it may not pull"


async def test_an_instance_that_is_listed_no_more_ended_too(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    await listed(house, ONE, "running")
    token = await pulls.token(machine)
    house.clock.advance(60)
    await listed(house, TWO, "running")
    assert (await refused(pulls, token)).startswith("401")
    assert await refusal(pulls, machine) == "instance-ended"


@pytest.mark.parametrize("state", ["pending", "running", "stopping", "stopped"])
async def test_an_instance_that_is_listed_pulls_long_after_it_enrolled(house: InProcess, state: str) -> None:
    """One that is listed as stopped may have been started since: its key spoke just now."""
    pulls, machine = Pulls(house), await house.machine(ONE)
    house.clock.advance(400 * 86_400)
    await listed(house, ONE, state)
    await pulls.token(machine)


async def test_an_instance_that_no_listing_shows_pulls_while_its_enrolment_is_recent(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    house.clock.advance(UNLISTED_SECONDS_MAX - 5)
    await pulls.token(machine)
    house.clock.advance(6)
    assert await refusal(pulls, machine) == "life-unknown"


async def test_an_inventory_that_stopped_working_says_nothing_any_more(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    await listed(house, ONE, "running")
    house.clock.advance(LISTING_SECONDS_MAX - 1)
    await pulls.token(machine)
    house.clock.advance(2)
    assert await refusal(pulls, machine) == "life-unknown"
    await listed(house, ONE, "running")
    await pulls.token(machine)


async def test_where_life_is_unknown_the_fresh_proof_by_sts_is_asked_for(house: InProcess) -> None:
    sts = FakeSts()
    pulls, machine = Pulls(house, caller_identity=sts), await house.machine(ONE)
    await pulls.token(machine)
    assert sts.asked == 0, "an instance that is known to live costs no call"
    house.clock.moment = house.clock.moment.replace(year=2027)
    assert await refusal(pulls, machine) == "life-unknown"
    late = sts.prove(machine, nonce := pulls.nonce())
    assert await refusal(pulls, machine, nonce, sts=late) == "sts-proof-time"
    proof = msgspec.structs.replace(sts.prove(machine, nonce := pulls.nonce()), date="20271122T120000Z")
    given = await pulls.tokens.token(pull_request(machine, nonce, pulls.audience, sts=proof))
    assert (await pulls.principal(str(given["token"]))).name == ONE
    assert await refusal(pulls, machine, nonce, sts=proof) == "challenge-unknown"
    assert await refusal(pulls, machine, sts=proof) == "sts-role", "it was signed for another challenge"
    theirs = msgspec.structs.replace(sts.prove(machine, nonce := pulls.nonce()), session_token=TWO)
    theirs = msgspec.structs.replace(theirs, date="20271122T120000Z")
    assert await refusal(pulls, machine, nonce, sts=theirs) == "sts-other"
    elsewhere = sts.prove(machine, nonce := pulls.nonce(), audience=AUDIENCE)
    elsewhere = msgspec.structs.replace(elsewhere, date="20271122T120000Z")
    assert await refusal(pulls, machine, nonce, sts=elsewhere) == "sts-role"
    sts.away = True
    proof = msgspec.structs.replace(sts.prove(machine, nonce := pulls.nonce()), date="20271122T120000Z")
    assert await refusal(pulls, machine, nonce, sts=proof) == "sts-unreachable"


async def test_a_proof_by_sts_is_worth_nothing_where_sts_is_switched_off(house: InProcess) -> None:
    pulls, machine = Pulls(house), await house.machine(ONE)
    house.clock.advance(UNLISTED_SECONDS_MAX + 1)
    nonce = pulls.nonce()
    assert await refusal(pulls, machine, nonce, sts=FakeSts().prove(machine, nonce)) == "life-unknown"


async def test_a_key_that_was_replaced_pulls_nothing_and_neither_does_what_it_was_given(
    database: Database, authority: SigningAuthority
) -> None:
    sts = FakeSts()
    async with InProcess(database, authority, caller_identity=sts).running() as house:
        pulls, before, after = Pulls(house, caller_identity=sts), Machine(authority, ONE), Machine(authority, ONE)
        await pulls.enrol(before, sts=sts)
        token = await pulls.token(before)
        await pulls.principal(token)
        nonce = pulls.nonce()
        assert (await pulls.enrol(after, sts=sts))["enrolment"] == 2
        assert await refusal(pulls, before, nonce) == "enrolment-superseded"
        await pulls.principal(await pulls.token(after))
        house.clock.advance(KEPT_SECONDS)
        assert (await refused(pulls, token)).startswith(f"401 instance {ONE} has bound a newer key")
        await pulls.principal(await pulls.token(after))


async def test_an_account_that_is_allowed_no_more_ends_its_tokens(house: InProcess) -> None:
    machine = await house.machine(ONE)
    token = await Pulls(house).token(machine)
    elsewhere = Pulls(house, accounts=frozenset({"210987654321"}))
    assert await refusal(elsewhere, machine) == "account-not-allowed"
    assert (await refused(elsewhere, token)).startswith("401 account 123456789012")
    foreign = Machine(house.authority, TWO, accountId="999999999999")
    with pytest.raises(WhenceError) as caught:
        await Pulls(house).enrol(foreign)
    assert caught.value.code == "account-not-allowed"


class Away:
    """A database that answers nothing."""

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        raise StorageUnavailable("storage-unavailable", "the database does not answer")


async def test_without_the_database_nobody_is_let_in_and_it_is_an_error_that_passes(house: InProcess) -> None:
    machine = await house.machine(ONE)
    token = await Pulls(house).token(machine)
    away = Pulls(house, database=Away())  # type: ignore[arg-type]  # only what is asked here
    assert await refusal(away, machine) == "storage-unavailable"
    with pytest.raises(StorageUnavailable):
        await away.principal(token)


async def pulls_by_document(pulls: Pulls, machine: Machine) -> str:
    blob = "".join(machine.authority.sign(machine.document).split())
    try:
        return (await pulls.access.authenticate(basic_header("instance-identity-document", blob))).name
    except RegistryRefusal as exc:
        return f"{exc.status} {exc.message}"


async def test_identity_documents_pull_nothing_unless_the_settings_say_so(house: InProcess) -> None:
    machine = Machine(house.authority, ONE)
    assert await pulls_by_document(Pulls(house), machine) == "401 identity documents are not accepted here"
    assert await pulls_by_document(Pulls(house, document_seconds_max=3600.0), machine) == ONE


async def test_an_old_document_a_future_one_and_one_of_another_account_pull_nothing(house: InProcess) -> None:
    pulls, machine = Pulls(house, document_seconds_max=3600.0), Machine(house.authority, ONE)
    house.clock.advance(3600)
    assert await pulls_by_document(pulls, machine) == ONE
    house.clock.advance(1)
    assert "too old" in await pulls_by_document(pulls, machine)
    house.clock.advance(-3600 - 1 - 60)
    assert await pulls_by_document(pulls, machine) == ONE
    house.clock.advance(-1)
    assert "in the future" in await pulls_by_document(pulls, machine)
    house.clock.advance(61)
    foreign = Machine(house.authority, ONE, accountId="999999999999")
    assert "not an allowed account" in await pulls_by_document(pulls, foreign)
    ancient = Machine(house.authority, ONE, pendingTime="2019-03-01T12:00:00Z")
    assert "2019-03-01" in await pulls_by_document(pulls, ancient)


async def test_the_document_of_an_instance_that_ended_pulls_nothing(house: InProcess) -> None:
    pulls, machine = Pulls(house, document_seconds_max=3600.0), await house.machine(ONE)
    assert await pulls_by_document(pulls, machine) == ONE
    await listed(house, ONE, "terminated")
    house.clock.advance(KEPT_SECONDS)
    assert "terminated" in await pulls_by_document(pulls, machine)


async def test_what_pulls_by_its_document_lists_nothing(house: InProcess) -> None:
    pulls, machine = Pulls(house, document_seconds_max=3600.0), Machine(house.authority, ONE)
    blob = "".join(machine.authority.sign(machine.document).split())
    principal = await pulls.access.authenticate(basic_header("instance-identity-document", blob))
    await pulls.access.check_pull(principal, OTHER)
    with pytest.raises(RegistryRefusal):
        pulls.access.check_list(principal)
    token = await pulls.access.grant(principal, [(APP, ["pull", "push"])], catalog=True)
    assert (await pulls.principal(token)).grant == {"alpha/app": ["pull"]}
