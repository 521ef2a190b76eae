"""The fresh proof of identity, against an STS that checks signatures: what others got wrong is refused here."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest

from fakes.in_process import AUDIENCE, InProcess
from fakes.machine import Machine
from fakes.metadata_service import MetadataService
from fakes.signing_authority import SigningAuthority
from fakes.sts import StsFront, prove
from landscape.aws import REGION, moto_server
from whence_agent.adapters.identity_prover import IdentityProver
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.sigv4 import AwsKeys
from whence_aggregator.adapters.sts import StsCallers
from whence_aggregator.agents.enrolment import EnrolmentRequest
from whence_aggregator.queries.query import instance_ids
from whence_aggregator.queries.trace import SEEN, STATEMENTS_NOW
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.clock import from_millis
from whence_common.errors import WhenceError
from whence_common.heartbeat import Heartbeat, mac
from whence_common.identity_document import Authorities, DocumentRefused, verify
from whence_common.keys import key_id
from whence_common.sts_proof import SKEW_SECONDS_MAX, StsProof

INSTANCE = "i-0123456789abcdef0"


@dataclass
class Place:
    house: InProcess
    sts: StsFront

    async def request(self, machine: Machine, keys: AwsKeys, **changes: object) -> EnrolmentRequest:
        nonce = await self.house.nonce()
        given = {
            "challenge": nonce, "audience": AUDIENCE, "key_id": key_id(machine.key.public_key()),
            "now": self.house.clock(), **changes,
        }  # fmt: skip
        proof = prove(keys, **given)  # type: ignore[arg-type]  # each test bends what it means to
        return msgspec.structs.replace(machine.request(nonce, AUDIENCE), sts=proof)

    async def enrol(self, machine: Machine, **changes: object) -> dict[str, object]:
        keys = await self.sts.keys(machine.instance_id)
        return await self.house.enrolments.enrol(await self.request(machine, keys, **changes))

    async def refusal(self, request: EnrolmentRequest) -> str:
        with pytest.raises(WhenceError) as caught:
            await self.house.enrolments.enrol(request)
        return caught.value.code


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StsFront]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as aws, StsFront(aws).serve() as sts:
        yield sts


@pytest.fixture
async def place(front: StsFront, authority: SigningAuthority, tmp_path: Path) -> AsyncIterator[Place]:
    front.answer = None
    front.asked.clear()
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with aiohttp.ClientSession() as session:
        callers = StsCallers(session=session, regions=frozenset({REGION}), endpoints={REGION: front.url})
        house = InProcess(database, authority, caller_identity=callers)
        async with house.running():
            yield Place(house, front)
    await database.close()


async def test_an_instance_that_holds_its_own_credentials_is_bound_with_that_proof(place: Place) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    assert (await place.enrol(machine))["level"] == "document+sts"
    await place.house.say(machine)
    value = (await place.house.lineage(INSTANCE)).link("instance").value
    assert value is not None
    assert value["proof"] == "document+sts"


async def test_the_request_that_was_sent_is_the_one_constant_request(place: Place) -> None:
    await place.enrol(Machine(place.house.authority, INSTANCE))
    (asked,) = place.sts.asked
    assert (asked["method"], asked["path"], asked["body"]) == (
        "POST",
        "/",
        "Action=GetCallerIdentity&Version=2011-06-15",
    )


async def test_a_key_that_was_lost_is_replaced_by_a_fresh_proof_and_both_are_shown(place: Place) -> None:
    first, second = Machine(place.house.authority, INSTANCE), Machine(place.house.authority, INSTANCE)
    await place.enrol(first)
    await place.house.say(first)
    place.house.clock.advance(86_400)
    assert (await place.enrol(second))["enrolment"] == 2
    await place.house.say(second)
    value = (await place.house.lineage(INSTANCE)).link("instance").value
    assert value is not None
    assert [one["number"] for one in value["bindings"]] == [1, 2]


async def test_statements_by_the_key_of_a_replaced_binding_are_history_and_move_nothing(place: Place) -> None:
    first, second = Machine(place.house.authority, INSTANCE), Machine(place.house.authority, INSTANCE)
    key = base64.b64decode(str((await place.enrol(first))["heartbeat_key"]))
    await place.enrol(second)
    newest = await place.house.say(second)
    place.house.clock.advance(60)
    await place.house.say(first, cause="stop")
    beat = Heartbeat(
        instance_id=INSTANCE, enrolment=1, counter=1, sequence=1, state_digest=newest.digest,
        sent_at=place.house.clock(),
    ).to_wire()  # fmt: skip
    with pytest.raises(WhenceError) as caught:
        await place.house.heartbeats.accept(beat, mac(key, beat))
    assert caught.value.code == "enrolment-superseded"
    names = instance_ids([INSTANCE])
    (row,) = await place.house.database.fetch(STATEMENTS_NOW.bind(names))
    assert row["ledger_index"] == newest.ledger_index
    (seen,) = await place.house.database.fetch(SEEN.bind(names))
    assert from_millis(seen["seen_at"]) == "2026-11-22T12:00:00.000Z", "a key that was replaced hides no silence"


async def test_an_old_document_binds_a_key_only_with_the_fresh_proof(place: Place) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    place.house.clock.advance(7200)
    request = machine.request(await place.house.nonce(), AUDIENCE)
    assert await place.refusal(request) == "document-too-old"
    assert (await place.enrol(machine))["level"] == "document+sts"


async def test_a_key_copied_in_an_ami_is_not_bound_to_a_second_instance(place: Place) -> None:
    original = Machine(place.house.authority, INSTANCE)
    await place.enrol(original)
    clone = Machine(place.house.authority, "i-0fedcba9876543210")
    clone.key = original.key
    keys = await place.sts.keys(clone.instance_id)
    assert await place.refusal(await place.request(clone, keys)) == "key-of-other"
    assert len(await place.house.entries("enrolment-refused")) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"challenge": "another"},
        {"audience": "https://elsewhere.example.org"},
        {"key_id": "0" * 64},
        {"method": "GET"},
        {"path": "/elsewhere"},
        {"host": "sts.attacker.example.org"},
        {"body": b"Action=AssumeRole&Version=2011-06-15"},
        {"service": "iam"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_signature_over_anything_else_proves_nothing(place: Place, changes: dict[str, object]) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    keys = await place.sts.keys(INSTANCE)
    assert await place.refusal(await place.request(machine, keys, **changes)) == "sts-refused"


async def test_a_proof_for_another_region_is_refused_before_sts_is_called(place: Place) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    request = await place.request(machine, await place.sts.keys(INSTANCE), region="us-east-1")
    assert (await place.refusal(request), place.sts.asked) == ("sts-region", [])


@pytest.mark.parametrize(
    "change",
    [
        {"region": "eu-central-1.attacker.example.org"},
        {"region": "eu-central-1/../x"},
        {"access_key": "A/../../x"},
        {"access_key": "ASIA\r\nX-Evil: 1"},
        {"session_token": "x\r\nHost: evil"},
        {"session_token": "x" * 5000},
        {"date": "now"},
        {"date": "20261340T000000Z"},
        {"signature": "00"},
        {"signature": "0" * 64 + ", SignedHeaders=host"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_parts_that_would_change_the_request_are_refused_before_sts_is_called(
    place: Place, change: dict[str, str]
) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    request = await place.request(machine, await place.sts.keys(INSTANCE))
    assert request.sts is not None
    bent = msgspec.structs.replace(request, sts=msgspec.structs.replace(request.sts, **change))
    assert await place.refusal(bent) in ("sts-proof-malformed", "sts-region")
    assert place.sts.asked == []


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"region":"a","access_key":"b","session_token":"c","date":"d","signature":"e","url":"https://x"}',
            type=StsProof,
        )


@pytest.mark.parametrize(
    "skew, accepted",
    [
        (-SKEW_SECONDS_MAX, True),
        (SKEW_SECONDS_MAX, True),
        (-SKEW_SECONDS_MAX - 1, False),
        (SKEW_SECONDS_MAX + 1, False),
    ],
)
async def test_the_window_of_time_has_two_edges(place: Place, skew: int, accepted: bool) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    request = await place.request(
        machine, await place.sts.keys(INSTANCE), now=place.house.clock() + timedelta(seconds=skew)
    )
    if accepted:
        assert (await place.house.enrolments.enrol(request))["level"] == "document+sts"
    else:
        assert await place.refusal(request) == "sts-proof-time"


@pytest.mark.parametrize(
    "keys, code",
    [
        ({"instance_id": "i-0fedcba9876543210"}, "sts-other"),
        ({"instance_id": INSTANCE, "role": "attacker"}, "sts-role"),
        ({"instance_id": INSTANCE, "account": "210987654321"}, "sts-other"),
        ({"instance_id": "not-an-instance"}, "sts-role"),
    ],
)
async def test_only_the_identity_role_of_this_instance_will_do(place: Place, keys: dict[str, str], code: str) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    given = await place.sts.keys(**keys)
    assert await place.refusal(await place.request(machine, given)) == code


JSON = {"Content-Type": "application/json"}
RESULT = {
    "Account": "123456789012",
    "Arn": f"arn:aws:sts::123456789012:assumed-role/aws:ec2-instance/{INSTANCE}",
    "UserId": "x",
}
RIGHT = {"GetCallerIdentityResponse": {"GetCallerIdentityResult": RESULT}}


@pytest.mark.parametrize(
    "answer, code",
    [
        ((200, {"Content-Type": "text/xml"}, json.dumps(RIGHT).encode()), "sts-answer-malformed"),
        ((200, JSON, json.dumps({**RIGHT, "more": 1}).encode()), "sts-answer-malformed"),
        ((200, JSON, json.dumps(RESULT).encode()), "sts-answer-malformed"),
        ((200, JSON, b"[" * 5000), "sts-answer-malformed"),
        ((200, JSON, b" " * 20_000), "sts-answer-malformed"),
        ((200, JSON, json.dumps({"GetCallerIdentityResponse": {"GetCallerIdentityResult": {**RESULT, "Arn": 5}}}).encode()), "sts-answer-malformed"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "sts-refused"),
        ((201, JSON, json.dumps(RIGHT).encode()), "sts-refused"),
        ((403, JSON, b'{"Error": {"Code": "ExpiredToken"}}'), "sts-refused"),
        ((403, JSON, b'{"Error": {"Code": "AccessDenied"}}'), "sts-refused"),
        ((403, JSON, b'{"Error": ["Throttling"]}'), "sts-refused"),
    ],
)  # fmt: skip
async def test_an_answer_of_another_shape_proves_nothing(
    place: Place, answer: tuple[int, dict[str, str], bytes], code: str
) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    place.sts.answer = answer
    assert await place.refusal(await place.request(machine, AwsKeys("A" * 20, "s", "t"))) == code


async def test_what_a_reporter_sends_as_an_answer_is_not_listened_to(place: Place) -> None:
    """A body that reflects STS's answer back is not a part of any request."""
    machine = Machine(place.house.authority, INSTANCE)
    wire = msgspec.to_builtins(await place.request(machine, await place.sts.keys(INSTANCE)))
    for name in ("sts_answer", "arn", "response"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**wire, name: RIGHT}, EnrolmentRequest)


async def test_an_agent_proves_itself_with_what_its_metadata_service_gives_it(place: Place) -> None:
    machine = Machine(place.house.authority, INSTANCE)
    keys = await place.sts.keys(INSTANCE)
    credentials = {
        "AccessKeyId": keys.access_key, "SecretAccessKey": keys.secret_key, "Token": keys.token,
        "Expiration": "2099-01-01T00:00:00Z",
    }  # fmt: skip
    service = MetadataService(INSTANCE, None, place.house.authority)
    service.identity_credentials = json.dumps(credentials).encode()
    nonce, named = await place.house.nonce(), key_id(machine.key.public_key())
    async with service.serve() as metadata, aiohttp.ClientSession() as session:
        prover = IdentityProver(metadata=ImdsMetadata(session=session, url=metadata.url), now=place.house.clock)
        asked = {"region": REGION, "challenge": nonce, "audience": AUDIENCE, "key_id": named}
        proof = await prover.prove(**asked)
        request = msgspec.structs.replace(machine.request(nonce, AUDIENCE), sts=proof)
        assert (await place.house.enrolments.enrol(request))["level"] == "document+sts"
        for nothing in (None, b"{}", b"no json"):
            service.identity_credentials = nothing
            assert await prover.prove(**asked) is None


@pytest.mark.parametrize(
    "answer",
    [
        (503, {}, b""),
        (400, JSON, b'{"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}'),
        (400, JSON, b'{"Error": {"Code": "RequestThrottled"}}'),
        (403, JSON, b'{"Error": {"Code": "ServiceUnavailable"}}'),
    ],
)
async def test_while_sts_is_away_or_throttles_the_document_alone_is_what_was_proved(
    place: Place, answer: tuple[int, dict[str, str], bytes]
) -> None:
    place.sts.answer = answer
    machine = Machine(place.house.authority, INSTANCE)
    request = await place.request(machine, AwsKeys("A" * 20, "s", "t"))
    assert (await place.house.enrolments.enrol(request))["level"] == "document"


async def test_a_challenge_redeemed_two_hundred_times_at_once_binds_one_key(place: Place) -> None:
    nonce = await place.house.nonce()
    requests = [Machine(place.house.authority, f"i-{number:017x}").request(nonce, AUDIENCE) for number in range(200)]
    results = await asyncio.gather(*(place.house.enrolments.enrol(one) for one in requests), return_exceptions=True)
    assert sum(isinstance(result, dict) for result in results) == 1
    assert {one.code for one in results if isinstance(one, WhenceError)} == {"challenge-unknown"}


async def test_forty_thousand_bit_flips_never_return_another_identity(authority: SigningAuthority) -> None:
    """Every bit of a blob, and of a second one, until there were forty thousand: refused, or the same content."""
    authorities = Authorities.from_pem({"eu-central-1": authority.pem})
    flips = 0
    for number in range(10):
        text = Machine(authority, f"i-{number:017x}").request("n", AUDIENCE).identity
        blob, expected = bytearray(base64.b64decode(text)), verify(text, authorities)
        for bit in range(len(blob) * 8):
            if flips == 40_000:
                return
            flips += 1
            blob[bit // 8] ^= 1 << bit % 8
            with suppress(WhenceError):
                assert verify(base64.b64encode(blob).decode(), authorities) == expected
            blob[bit // 8] ^= 1 << bit % 8
    assert flips == 40_000, "there were too few bits"


async def test_a_certificate_in_the_bag_is_never_used(place: Place) -> None:
    attacker = SigningAuthority.make()
    from cryptography.hazmat.primitives.serialization import Encoding

    machine = Machine(place.house.authority, INSTANCE)
    for bag in (attacker, place.house.authority):
        forged = attacker.sign(
            machine.document, certificates=bag.certificate.public_bytes(Encoding.DER),
            serial=place.house.authority.certificate.serial_number,
        )  # fmt: skip
        with pytest.raises(DocumentRefused):
            verify(forged, Authorities.from_pem({"eu-central-1": place.house.authority.pem}))


async def test_every_other_regions_key_refuses_the_document(authority: SigningAuthority) -> None:
    text = Machine(authority, INSTANCE).request("n", AUDIENCE).identity
    others = {f"xx-test-{number}": authority.pem for number in range(3)}
    with pytest.raises(DocumentRefused):
        verify(text, Authorities.from_pem(others))
    swapped = Authorities.from_pem({"eu-central-1": SigningAuthority.make().pem, "us-east-1": authority.pem})
    with pytest.raises(DocumentRefused):
        verify(text, swapped)
