"""Enrolment: one instance, one key, proved by AWS's signature and a single-use challenge."""

from __future__ import annotations

import asyncio
import hmac

import msgspec
import pytest

from fakes.in_process import AUDIENCE, SECRET, InProcess
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from whence_aggregator.agents.challenges import CHALLENGE_SECONDS
from whence_aggregator.agents.rows import sighting
from whence_aggregator.queries.agents import SEE
from whence_aggregator.queries.audit import DUMP_LAST_SEEN
from whence_aggregator.queries.trace import SEEN
from whence_common.errors import WhenceError
from whence_common.heartbeat import Heartbeat, mac


async def refusal(house: InProcess, machine: Machine, **changes: str) -> str:
    request = machine.request(await house.nonce(), AUDIENCE)
    with pytest.raises(WhenceError) as caught:
        await house.enrolments.enrol(msgspec.structs.replace(request, **changes))
    return caught.value.code


async def test_an_instance_binds_its_key(house: InProcess) -> None:
    answer = await house.enrol(Machine(house.authority))
    assert (answer["enrolment"], answer["instance_id"], answer["level"]) == (1, "i-0123456789abcdef0", "document")


async def test_enrolling_again_with_the_same_key_changes_nothing(house: InProcess) -> None:
    machine = Machine(house.authority)
    assert await house.enrol(machine) == await house.enrol(machine)
    entries = await house.entries()
    assert [entry.kind for entry in entries if entry.kind.startswith("enrolment")] == ["enrolment"]


async def test_a_second_key_is_refused_and_stands_in_the_ledger(house: InProcess) -> None:
    await house.machine()
    assert await refusal(house, Machine(house.authority)) == "instance-bound"
    entries = await house.entries()
    assert [entry.kind for entry in entries if entry.kind.startswith("enrolment")] == ["enrolment", "enrolment-refused"]


async def test_two_keys_racing_for_one_instance_one_wins(house: InProcess) -> None:
    machines = [Machine(house.authority) for _ in range(8)]
    results = await asyncio.gather(*(house.enrol(machine) for machine in machines), return_exceptions=True)
    assert sum(isinstance(result, dict) for result in results) == 1


async def test_one_challenge_is_redeemed_once_however_many_try_at_once(house: InProcess) -> None:
    nonce = await house.nonce()
    machines = [Machine(house.authority, f"i-{number:017x}") for number in range(30)]
    requests = [machine.request(nonce, AUDIENCE) for machine in machines]
    results = await asyncio.gather(*(house.enrolments.enrol(r) for r in requests), return_exceptions=True)
    assert sum(isinstance(result, dict) for result in results) == 1
    assert {r.code for r in results if isinstance(r, WhenceError)} == {"challenge-unknown"}


async def test_a_challenge_does_not_live_long(house: InProcess) -> None:
    request = Machine(house.authority).request(await house.nonce(), AUDIENCE)
    house.clock.advance(CHALLENGE_SECONDS + 1)
    with pytest.raises(WhenceError) as caught:
        await house.enrolments.enrol(request)
    assert caught.value.code == "challenge-unknown"


async def test_a_challenge_that_was_redeemed_is_used_up_and_one_that_was_not_is_not(house: InProcess) -> None:
    nonce = await house.nonce()
    stranger = Machine(SigningAuthority.make()).request(nonce, AUDIENCE)
    one = Machine(house.authority, "i-00000000000000001").request(nonce, AUDIENCE)
    two = Machine(house.authority, "i-00000000000000002").request(nonce, AUDIENCE)
    codes = []
    for request in (stranger, one, two):
        try:
            codes.append(str((await house.enrolments.enrol(request))["level"]))
        except WhenceError as exc:
            codes.append(exc.code)
    assert codes == ["identity-signature", "document", "challenge-unknown"]


async def test_a_document_of_another_authority_is_refused(house: InProcess) -> None:
    assert await refusal(house, Machine(SigningAuthority.make())) == "identity-signature"


async def test_an_account_that_is_not_allowed_is_refused(house: InProcess) -> None:
    machine = Machine(house.authority, accountId="999999999999")
    assert await refusal(house, machine) == "account-not-allowed"


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"challenge": "invented"}, "challenge-unknown"),
        ({"proof": "AAAA"}, "proof-invalid"),
        ({"proof": "!"}, "proof-invalid"),
        ({"public_key": "AAAA"}, "public-key-invalid"),
        ({"identity": "AAAA"}, "cms-ber"),
    ],
)
async def test_a_bent_request_is_refused(house: InProcess, changes: dict[str, str], code: str) -> None:
    assert await refusal(house, Machine(house.authority), **changes) == code


async def test_a_proof_for_another_aggregator_is_refused(house: InProcess) -> None:
    request = Machine(house.authority).request(await house.nonce(), "https://elsewhere.example.org")
    with pytest.raises(WhenceError) as caught:
        await house.enrolments.enrol(request)
    assert caught.value.code == "proof-invalid"


async def test_a_proof_for_anothers_key_is_refused(house: InProcess) -> None:
    nonce = await house.nonce()
    theirs = Machine(house.authority).request(nonce, AUDIENCE)
    ours = Machine(house.authority, "i-00000000000000001").request(nonce, AUDIENCE)
    with pytest.raises(WhenceError) as caught:
        await house.enrolments.enrol(msgspec.structs.replace(ours, public_key=theirs.public_key))
    assert caught.value.code == "proof-invalid"


async def test_only_the_newest_binding_that_was_heard_moves_last_seen(house: InProcess) -> None:
    name = "i-00000000000000001"

    async def heard(*said: tuple[int, int]) -> tuple[int, int]:
        for enrolment, seen_at in said:
            await house.database.write(SEE.bind(house.sightings.rows([(name, enrolment)], seen_at)))
        (row,) = await house.database.fetch(DUMP_LAST_SEEN.bind({"limit": 9, "offset": 0}))
        assert house.sightings.holds(sighting(row))
        return row["enrolment"], row["seen_at"]

    assert await heard((1, 10), (1, 30), (1, 20)) == (1, 30)
    assert await heard((2, 25)) == (2, 25)
    assert await heard((1, 90), (2, 26)) == (2, 26)
    assert [(row["enrolment"], row["seen_at"]) for row in house.sightings.rows([(name, 3), (name, 2)], 7)] == [(3, 7)]


async def test_seals_from_before_bindings_were_stored_are_still_valid(house: InProcess) -> None:
    (row,) = house.sightings.rows([("i-00000000000000001", 0)], 5)
    key = hmac.digest(SECRET, b"whence-last-seen-v1", "sha256")
    assert row["seal"] == hmac.digest(key, b"i-00000000000000001 5", "sha256")[:16]
    await house.database.write(SEE.bind([row]))
    await house.database.write(SEE.bind(house.sightings.rows([("i-00000000000000001", 1)], 4)))
    (kept,) = await house.database.fetch(SEEN.bind({"instance_ids": '["i-00000000000000001"]'}))
    assert kept["seen_at"] == 4


async def test_a_heartbeat_moves_last_seen_and_leaves_the_ledger_alone(house: InProcess) -> None:
    import base64

    machine = Machine(house.authority)
    answer = await house.enrol(machine)
    accepted = await house.say(machine)
    house.clock.advance(60)
    beat = Heartbeat(
        instance_id=machine.instance_id, enrolment=1, counter=1, sequence=1, state_digest=accepted.digest,
        sent_at=house.clock(),
    ).to_wire()  # fmt: skip
    await house.heartbeats.accept(beat, mac(base64.b64decode(str(answer["heartbeat_key"])), beat))
    value = (await house.lineage()).link("instance").value
    assert value is not None
    assert value["last_seen"] == "2026-11-22T12:01:00.000Z"
    with pytest.raises(WhenceError) as caught:
        await house.heartbeats.accept(beat, "0" * 64)
    assert caught.value.code == "heartbeat-mac"
