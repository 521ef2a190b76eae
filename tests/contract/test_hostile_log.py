"""What nobody should have written: envelopes bent to spoil the log for its readers, events signed by a hostile log."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fakes.auditor import bundle, checked, dumped, report
from fakes.in_process import InProcess
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.whence.evidence import draw_report
from whence_common.errors import InputError
from whence_common.evidence_bundle import BundleInvalid
from whence_common.ledger_entry import event


def beside(sealed: bytes, members: bytes) -> bytes:
    """Put members into an envelope that nobody signed and nobody needs."""
    return b"{" + members + b"," + sealed[1:]


@pytest.mark.parametrize(
    "members",
    [
        b'"x":1e999',
        b'"x":"\xff\xfe"',
        b'"\xff":1',
        b'"x":' + b"1" * 5000,
        b'"x":"\\ud800"',
        b'"x":NaN',
        b'"x":' + b"[" * 5000,
    ],
)
async def test_an_envelope_that_readers_of_the_log_could_not_read_is_refused(house: InProcess, members: bytes) -> None:
    """What DSSE has us pass over is hashed and kept all the same."""
    machine = await house.machine()
    with pytest.raises(InputError) as caught:
        await house.ingest.accept(beside(machine.statement(), members))
    assert caught.value.code in ("entry-malformed", "envelope-malformed")


async def test_odd_envelopes_that_are_taken_are_found_clean_and_verify(house: InProcess, tmp_path: Path) -> None:
    machine = await house.machine()

    def signed(*before: dict[str, str]) -> bytes:
        wire = json.loads(machine.statement())
        return json.dumps({**wire, "signatures": [*before, *wire["signatures"]]}).encode()

    taken = [
        beside(machine.statement(), b'"type":"urn:whence:clock:v1"'),
        beside(machine.statement(), b'"x":"\\u0000"'),
        machine.statement() + b" \n",
        signed({"sig": "", "keyid": ""}),
        signed({"sig": "AAAA", "keyid": "zz"}, {"sig": "AAAA", "keyid": "A" * 64}),
        signed(*[{"sig": "AAAA", "keyid": "f" * 64}] * 7),
    ]
    for content in taken:
        await house.ingest.accept(content)
    assert (await checked(house, tmp_path)).findings == []
    assert len(report(house, await bundle(house)).statements) == len(taken)
    before = await dumped(house.database)
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == before


@pytest.mark.parametrize("bent", [str.upper, lambda key: f"{key[:2]} {key[2:]}", lambda key: key + "\n"])
async def test_a_key_is_named_in_one_way_only(house: InProcess, bent: Callable[[str], str]) -> None:
    """The log is searched by the name as it stands there."""
    wire = json.loads((await house.machine()).statement())
    wire["signatures"][0]["keyid"] = bent(wire["signatures"][0]["keyid"])
    with pytest.raises(InputError) as caught:
        await house.ingest.accept(json.dumps(wire).encode())
    assert caught.value.code == "key-unknown"


NESTED = {"instance": "x", "evidence": {"identity": 5, "audience": [], "challenge": {}, "proof": None}, "public_key": 7}
MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("verdict", {}),
    ("verdict", {"instance_id": 5, "at": None, "verdicts": 7}),
    ("verdict", {"instance_id": "i", "at": "x", "verdicts": [{"rule": 1}]}),
    ("verdict", {"instance_id": "i", "account_id": "a", "at": "x", "verdicts": [5], "first": 1, "rules": "x"}),
    ("clock", {}),
    ("clock", {"recorded_at": 10**18}),
    ("clock", {"recorded_at": "x"}),
    ("pruned", {}),
    ("pruned", {"kind": "statement", "first": "a", "past": None}),
    ("enrolment", {}),
    ("enrolment", {"instance": {}, "evidence": 5, "key_id": 5, "number": "x"}),
    ("enrolment", {**NESTED, "key_id": "zz", "number": 1}),
    ("enrolment", {**NESTED, "instance": {"instance_id": 1, "account_id": 2, "region": 3}, "key_id": "00", "number": []}),
    ("enrolment-refused", {}),
    ("fact", {}),
    ("fact", {"kind": "ec2-instance"}),
    ("fact", {"kind": "commit", "subject": 5, "value": 7}),
    ("fact", {"kind": "tag", "subject": [], "value": None, "observed_at": 1, "outcome": 2, "reason": 3}),
    ("fact", {"kind": "image-source", "subject": "", "value": {"claims": [5]}, "observed_at": "", "outcome": "", "reason": ""}),
    ("application", {}),
    ("application", {"application_id": 5, "revision": "x", "body": 1}),
    ("push", {}),
    ("untag", {"repository": 5}),
    ("log-key", {"keys": 5}),
]  # fmt: skip


@pytest.mark.parametrize("kind, stated", MALFORMED)
async def test_malformed_events_of_a_log_break_neither_its_check_nor_the_verifier(
    house: InProcess, tmp_path: Path, kind: str, stated: dict[str, Any]
) -> None:
    """Whoever has the log's key may sign anything: it is found, or passed over, but never a way to be left unread."""
    await house.say(await house.machine())
    async with house.ledger.writing() as writing:
        await writing.append([NewEntry(kind=kind, content=event(kind, stated))])
    await house.say(await house.machine("i-00000000000000002"))
    assert (await checked(house, tmp_path)).entries == await house.reader.size()
    with suppress(BundleInvalid):
        draw_report(Console(file=io.StringIO()), report(house, await bundle(house)))
