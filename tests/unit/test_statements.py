"""Statements and their envelopes: verbatim, verified before they are parsed, refused when bent."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from whence_common import heartbeat, keys
from whence_common.envelope import ENVELOPE_BYTES_MAX, Envelope, pre_authentication_encoding, seal
from whence_common.errors import InputError
from whence_common.statement import ImageFacts, InstanceFacts, Predicate, Statement, UserDataFacts

KEY = ec.generate_private_key(ec.SECP256R1())
GOLDEN = Path(__file__).parents[1] / "data" / "statement.json"


def predicate(**changes: Any) -> Predicate:
    values: dict[str, Any] = {
        "instance": InstanceFacts(account_id="123456789012", region="eu-central-1", instance_id="i-0123456789abcdef0"),
        "boot_id": "2f1c8f0e-0000-4000-8000-000000000000",
        "sequence": 7,
        "cause": "boot",
        "observed_at": "2026-11-22T12:00:00.000Z",
        "agent_version": "0.1.0",
        "heartbeats": 1,
        "user_data": UserDataFacts(digest="sha256:" + "a" * 64, document={"application_id": "pay-api"}),
        "image": ImageFacts(
            source="registry.example.org/pay/api:1.2",
            repository="registry.example.org/pay/api",
            digest="sha256:" + "b" * 64,
        ),
        **changes,
    }
    return Predicate(**values)


def code_of(content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        Statement.from_wire(Envelope.parse(content).verify(KEY.public_key()))
    return caught.value.code


def test_the_wire_form_of_a_statement_is_the_golden_file() -> None:
    wire = Statement.of(predicate()).to_wire()
    assert json.loads(wire) == json.loads(GOLDEN.read_bytes())
    assert Statement.from_wire(wire).predicate == predicate()


def test_the_pre_authentication_encoding_is_that_of_the_specification() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_sealed_statement_comes_back() -> None:
    envelope = Envelope.parse(seal(KEY, Statement.of(predicate()).to_wire()))
    assert Statement.from_wire(envelope.verify(KEY.public_key())).predicate.sequence == 7
    assert envelope.signatures[0][0] == keys.key_id(KEY.public_key())


def test_a_failed_boot_is_stated_about_its_user_data() -> None:
    (subject,) = Statement.of(predicate(image=None, cause="failed")).subject
    assert (subject.name, subject.digest) == ("user-data", {"sha256": "a" * 64})


def test_unknown_fields_are_ignored_on_reading() -> None:
    wire = json.loads(Statement.of(predicate()).to_wire())
    wire["predicate"]["from_the_future"] = 1
    assert Statement.from_wire(json.dumps(wire).encode()).predicate == predicate()


def test_another_key_does_not_verify() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert code_of(seal(other, Statement.of(predicate()).to_wire())) == "envelope-signature"


def test_every_changed_byte_of_the_payload_is_noticed() -> None:
    wire = json.loads(seal(KEY, Statement.of(predicate()).to_wire()))
    payload = base64.b64decode(wire["payload"])
    for position in range(0, len(payload), 7):
        changed = bytearray(payload)
        changed[position] ^= 1
        wire["payload"] = base64.b64encode(bytes(changed)).decode()
        assert code_of(json.dumps(wire).encode()) == "envelope-signature"


@pytest.mark.parametrize(
    "content, code",
    [
        (b"", "envelope-malformed"),
        (b"{}", "envelope-malformed"),
        (b"[" * 100_000, "envelope-malformed"),
        (b'{"payload":"!","payloadType":"x","signatures":[{"sig":"AA=="}]}', "envelope-malformed"),
        (b'{"payload":"","payloadType":"x","signatures":[]}', "envelope-signatures"),
        (b'{"payload":"","payloadType":"x","signatures":[' + b'{"sig":"AA=="},' * 20 + b'{"sig":""}]}', "envelope-signatures"),
        (b'{"payload":"","payloadType":"x","signatures":[{"sig":"AA=="}]}', "envelope-type"),
        (b" " * (ENVELOPE_BYTES_MAX + 1), "envelope-too-large"),
    ],
)  # fmt: skip
def test_a_malformed_envelope_is_refused(content: bytes, code: str) -> None:
    assert code_of(content) == code


@pytest.mark.parametrize(
    "change, code",
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "statement-type"),
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "statement-type"),
        ({"predicate": {}}, "statement-malformed"),
        ({"predicate": None}, "statement-malformed"),
    ],
)
def test_another_statement_is_refused(change: dict[str, Any], code: str) -> None:
    wire = {**json.loads(Statement.of(predicate()).to_wire()), **change}
    assert code_of(seal(KEY, json.dumps(wire).encode())) == code


@pytest.mark.parametrize(
    "name, value",
    [
        ("sequence", 0),
        ("sequence", 2**60),
        ("sequence", "7"),
        ("cause", "whatever"),
        ("observed_at", "yesterday"),
        ("observed_at", "2026-11-22T12:00:00"),
        ("user_data", {"digest": "sha256:nope"}),
    ],
)
def test_a_malformed_predicate_is_refused(name: str, value: object) -> None:
    wire = json.loads(Statement.of(predicate()).to_wire())
    wire["predicate"][name] = value
    assert code_of(seal(KEY, json.dumps(wire).encode())) == "statement-malformed"


def test_a_document_nested_too_deep_is_refused() -> None:
    wire = json.loads(Statement.of(predicate()).to_wire())
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    wire["predicate"]["user_data"]["document"] = {"a": deep}
    assert code_of(seal(KEY, json.dumps(wire).encode())) == "statement-too-deep"


def test_brackets_beyond_any_recursion_are_refused() -> None:
    payload = Statement.of(predicate()).to_wire().replace(b'"application_id":"pay-api"', b'"a":' + b"[" * 60_000)
    assert code_of(seal(KEY, payload)) in ("statement-too-deep", "statement-malformed")


@pytest.mark.parametrize("text", ["", "!", "AAAA", "A" * 2000])
def test_a_malformed_public_key_is_refused(text: str) -> None:
    with pytest.raises(keys.PublicKeyInvalid):
        keys.public_key_from_wire(text)


def test_a_key_on_another_curve_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(keys.PublicKeyInvalid):
        keys.public_key_from_wire(keys.public_key_to_wire(other.public_key()))


def test_a_heartbeat_holds_only_under_its_own_key() -> None:
    beat = heartbeat.Heartbeat(
        instance_id="i-00000001", enrolment=1, counter=7, sequence=2, state_digest="sha256:" + "a" * 64,
        sent_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )  # fmt: skip
    key = heartbeat.derive_key(b"s" * 32, instance_id="i-00000001", enrolment=1)
    body = beat.to_wire()
    assert heartbeat.Heartbeat.from_wire(body) == beat
    heartbeat.verify_mac(key, body, heartbeat.mac(key, body))
    for other in ({"instance_id": "i-00000002", "enrolment": 1}, {"instance_id": "i-00000001", "enrolment": 2}):
        wrong = heartbeat.derive_key(b"s" * 32, **other)  # type: ignore[arg-type]  # two names, two types
        with pytest.raises(heartbeat.HeartbeatInvalid):
            heartbeat.verify_mac(wrong, body, heartbeat.mac(key, body))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b"{" * 5000])
def test_a_malformed_heartbeat_is_refused(content: bytes) -> None:
    with pytest.raises(heartbeat.HeartbeatInvalid):
        heartbeat.Heartbeat.from_wire(content)


@pytest.mark.parametrize(
    "field, value, code",
    [
        ("sent_at", "not a time", "heartbeat-malformed"),
        ("sent_at", "", "heartbeat-malformed"),
        ("sent_at", "2026-11-22T12:00:00", "heartbeat-malformed"),
        ("sent_at", "2026-13-22T12:00:00Z", "heartbeat-malformed"),
        ("sent_at", 1_790_000_000, "heartbeat-malformed"),
        ("counter", None, "heartbeat-without-counter"),
        ("counter", 0, "heartbeat-without-counter"),
        ("counter", -1, "heartbeat-malformed"),
        ("counter", 2**53, "heartbeat-malformed"),
        ("counter", 2**63, "heartbeat-malformed"),
        ("counter", 10**40, "heartbeat-malformed"),
        ("counter", 1.5, "heartbeat-malformed"),
        ("counter", True, "heartbeat-malformed"),
        ("counter", "7", "heartbeat-malformed"),
        ("enrolment", 0, "heartbeat-malformed"),
        ("enrolment", 10**40, "heartbeat-malformed"),
    ],
)
def test_a_heartbeat_needs_a_counter_within_bounds_and_a_time(field: str, value: object, code: str) -> None:
    wire = {
        "instance_id": "i-00000001", "enrolment": 1, "counter": 7, "sequence": 2,
        "state_digest": "sha256:" + "a" * 64, "sent_at": "2026-11-22T12:00:00.000Z",
    }  # fmt: skip
    assert heartbeat.Heartbeat.from_wire(json.dumps(wire).encode()).counter == 7
    changed = {name: one for name, one in {**wire, field: value}.items() if one is not None}
    with pytest.raises(heartbeat.HeartbeatInvalid) as caught:
        heartbeat.Heartbeat.from_wire(json.dumps(changed).encode())
    assert caught.value.code == code


def test_the_refusal_of_an_earlier_agents_heartbeat_states_to_upgrade() -> None:
    body = b'{"enrolment":1,"instance_id":"i-00000001","sent_at":"2026-11-22T12:00:00.000Z","sequence":2,'
    body += b'"state_digest":"sha256:%s"}' % (b"a" * 64)
    with pytest.raises(heartbeat.HeartbeatInvalid) as caught:
        heartbeat.Heartbeat.from_wire(body)
    assert caught.value.diagnostics() == (
        "the heartbeat has no counter, so a recorded copy could be replayed "
        "(upgrade the agent; its statements are accepted as before)"
    )


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_envelope(content: bytes) -> None:
    try:
        Envelope.parse(content)
    except InputError:
        return
