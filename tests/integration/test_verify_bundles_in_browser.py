"""The console verifies the bundles of a real aggregator in the browser, and names the fault of a tampered one."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.node_verify import ChosenFiles, verified
from landscape.programs import aggregator
from whence_common.note import Signer

PERIOD = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
Edit = Callable[[list[dict[str, Any]]], None]


@dataclass
class Fetched:
    """A bundle, a receipt with its statement, and the log's keys, as the API returns them."""

    bundle: bytes
    of_account: bytes
    receipt: bytes
    statement: bytes
    keys: str

    def tampered(self, edit: Edit) -> ChosenFiles:
        lines = [json.loads(line) for line in self.bundle.splitlines()]
        edit(lines)
        text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        return ChosenFiles(files=[text.encode()], keys=self.keys)


@pytest.fixture(scope="module")
async def fetched(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fetched]:
    directory: Path = tmp_path_factory.mktemp("bundles")
    async with (
        aggregator(directory, directory, authority_pem={"eu-central-1": authority.pem}) as server,
        aiohttp.ClientSession() as session,
        server.session() as reading,
    ):
        client, digests = AgentClient(session, server.url), []
        for number in range(2):
            machine = Machine(authority, f"i-{number:017x}")
            assert (await client.enrol(machine))[0] == 201
            for _ in range(3):
                digests.append((await client.say(machine))[1]["digest"])

        async def get(path: str, **parameters: str) -> bytes:
            async with reading.get(server.url + path, params=parameters) as answer:
                return await answer.read()

        yield Fetched(
            bundle=await get("/v1/bundles", **PERIOD),
            of_account=await get("/v1/bundles", account="999999999999", **PERIOD),
            receipt=await get(f"/v1/receipts/{digests[2]}.tlog-proof"),
            statement=await get(f"/v1/statements/{digests[2]}"),
            keys=(await get("/v1/log/keys")).decode(),
        )


def test_a_bundle_proves_that_its_entries_are_in_the_log_and_statements_signed(fetched: Fetched) -> None:
    (found,) = verified(ChosenFiles(files=[fetched.bundle], keys=fetched.keys))
    assert (found["verdict"], found["fault"]) == ("pass", None)
    count = len(fetched.bundle.splitlines()) - 2
    assert found["title"] == f"All {count} entries of the file are in the log of whence.example.org, unchanged"
    assert "6 statements are signed by the keys that their instances enrolled." in found["proved"]
    assert "That AWS signed the identity of 2 enrolled instances: whence verify checks that." in found["unproved"]


def test_a_bundle_of_another_account_states_what_is_hidden(fetched: Fetched) -> None:
    (found,) = verified(ChosenFiles(files=[fetched.of_account], keys=fetched.keys))
    assert found["verdict"] == "pass"
    assert any("are of other accounts, or were pruned" in one for one in found["unproved"])


def test_a_receipt_of_the_api_is_accepted_with_its_statement(fetched: Fetched) -> None:
    (found,) = verified(ChosenFiles(files=[fetched.statement, fetched.receipt], keys=fetched.keys))
    assert (found["verdict"], found["fault"]) == ("pass", None)


def _statement(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return next(one for one in lines[1:-1] if '"payloadType"' in one.get("content", ""))


def _change_statement(lines: list[dict[str, Any]]) -> None:
    one = _statement(lines)
    envelope = json.loads(one["content"])
    payload = base64.b64decode(envelope["payload"]).replace(b'"sequence":', b'"sequence":1')
    envelope["payload"] = base64.b64encode(payload).decode()
    one["content"] = json.dumps(envelope)


def _change_space(lines: list[dict[str, Any]]) -> None:
    _statement(lines)["content"] += " "


def _remove(lines: list[dict[str, Any]]) -> None:
    lines.pop(3)
    lines[-1]["entries"] -= 1


def _remove_and_renumber(lines: list[dict[str, Any]]) -> None:
    _remove(lines)
    for n, one in enumerate(lines[1:-1]):
        one["index"] = lines[0]["first"] + n


def _swap(lines: list[dict[str, Any]]) -> None:
    lines[2]["content"], lines[3]["content"] = lines[3]["content"], lines[2]["content"]


def _move(lines: list[dict[str, Any]]) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def _forget_end(lines: list[dict[str, Any]]) -> None:
    lines.pop()


def _narrow(lines: list[dict[str, Any]]) -> None:
    lines[0]["past"] -= 1


def _hide(lines: list[dict[str, Any]]) -> None:
    one = _statement(lines)
    del one["content"]
    one["leaf"] = base64.b64encode(b"\0" * 32).decode()


def _sign_otherwise(lines: list[dict[str, Any]]) -> None:
    text = lines[0]["checkpoint"].partition("\n\n")[0] + "\n"
    lines[0]["checkpoint"] = f"{text}\n{Signer('whence.example.org', b'x' * 32).sign(text)}"


def _change_size(lines: list[dict[str, Any]]) -> None:
    origin, size, rest = lines[0]["checkpoint"].split("\n", 2)
    lines[0]["checkpoint"] = f"{origin}\n{int(size) + 1}\n{rest}"


def _drop_enrolment(lines: list[dict[str, Any]]) -> None:
    one = next(one for one in lines[1:-1] if "urn:whence:enrolment:" in one.get("content", ""))
    del one["content"]
    one["leaf"] = base64.b64encode(b"\0" * 32).decode()


@pytest.mark.parametrize(
    "edit, code, message",
    [
        (_change_statement, "bundle-invalid", "its signature does not hold for this instance's key"),
        (_change_space, "bundle-invalid", "The root of the entries is not the one that was signed"),
        (_remove, "bundle-invalid", "an entry was removed, added or moved"),
        (_remove_and_renumber, "bundle-invalid", "entries, but the period has"),
        (_swap, "bundle-invalid", ""),
        (_move, "bundle-invalid", "is at the place of entry"),
        (_forget_end, "bundle-invalid", "The end line is missing"),
        (_narrow, "bundle-invalid", "entries, but the period has"),
        (_hide, "bundle-invalid", "The root of the entries is not the one that was signed"),
        (_sign_otherwise, "checkpoint-unsigned", "No trusted key of whence.example.org signed the checkpoint"),
        (_change_size, "note-signature", "The signature of the log whence.example.org does not hold"),
        (_drop_enrolment, "bundle-invalid", "the enrolment of its key is not in the bundle"),
    ],
)
def test_the_fault_of_a_tampered_bundle_is_named(fetched: Fetched, edit: Edit, code: str, message: str) -> None:
    (found,) = verified(fetched.tampered(edit))
    assert (found["verdict"], found["fault"]["code"], found["proved"]) == ("fail", code, [])
    assert message in found["fault"]["message"]


def test_a_truncated_bundle_is_refused(fetched: Fetched) -> None:
    (found,) = verified(ChosenFiles(files=[fetched.bundle[:-20]], keys=fetched.keys))
    assert "the file was truncated" in found["fault"]["message"]
