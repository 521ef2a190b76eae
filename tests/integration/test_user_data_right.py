"""Who may read user data is a right of its own: others trace, and see what the trace names and nothing more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.contract import checked_session
from landscape.programs import Aggregator, aggregator
from whence_aggregator.callers.tokens import new_token
from whence_common.clock import utc_now
from whence_common.digest import sha256_digest
from whence_common.statement import UserDataFacts

INSTANCE = "i-0123456789abcdef0"
DOCUMENT = {
    "application_id": "greeter", "application_version": "1.0", "source": "registry.example.org/hello/greeter:1.0",
    "environment": {"GREETING": "confidential"}, "mint_bucket": "confidential-bucket",
}  # fmt: skip
DIGEST = "sha256:" + "a" * 64


@dataclass
class Asked:
    """One aggregator with three callers, and an instance that has spoken. `statement` is its digest."""

    server: Aggregator
    tokens: dict[str, str]
    statement: str

    async def get(self, caller: str, path: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {self.tokens[caller]}"}
        async with (
            checked_session(self.server.url, headers=headers) as session,
            session.get(self.server.url + path) as answer,
        ):
            return answer.status, await answer.text(errors="replace")


@pytest.fixture(scope="module")
async def asked(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asked]:
    directory: Path = tmp_path_factory.mktemp("rights")
    (directory / "aggregator").mkdir()
    now = utc_now()
    made = {
        name: new_token(name, ["hello"], admin=False, made=now, until=now + timedelta(days=1), rights=rights)
        for name, rights in (("reader", ()), ("auditor", ("user-data",)))
    }
    (directory / "aggregator" / "tokens").write_text("".join(f"{token.to_line()}\n" for _, token in made.values()))
    async with (
        aggregator(directory, directory, authority_pem={"eu-central-1": authority.pem}) as server,
        aiohttp.ClientSession() as session,
    ):
        client, machine = AgentClient(session, server.url), Machine(authority, INSTANCE)
        await client.enrol(machine)
        envelope = machine.statement(user_data=UserDataFacts(digest=DIGEST, document=DOCUMENT))
        assert (await client.post("/v1/statements", envelope))[0] == 201
        tokens = {"admin": server.token, **{name: token for name, (token, _) in made.items()}}
        yield Asked(server, tokens, sha256_digest(envelope))


def user_data(text: str) -> dict[str, Any]:
    answer = json.loads(text)
    (lineage,) = answer["lineages"] if "lineages" in answer else [answer.get("lineage", answer)]
    value: dict[str, Any] = next(one["value"] for one in lineage["links"] if one["link"] == "user_data")
    return value


TRACES = [
    f"/v1/trace?instance={INSTANCE}", "/v1/trace?application=greeter&state=any", f"/v1/instances/{INSTANCE}",
    f"/v1/trace?user_data={DIGEST}&state=any",
]  # fmt: skip


@pytest.mark.parametrize("path", TRACES)
async def test_without_the_right_a_trace_shows_the_digest_and_what_other_links_rest_on(asked: Asked, path: str) -> None:
    status, text = await asked.get("reader", path)
    assert status == 200
    assert user_data(text) == {
        "digest": DIGEST,
        "document": {name: DOCUMENT[name] for name in ("application_id", "application_version", "source")},
        "problems": [],
        "withheld": "the right user-data is needed for the rest",
    }
    assert "confidential" not in text


@pytest.mark.parametrize("path", TRACES)
@pytest.mark.parametrize("caller", ["auditor", "admin"])
async def test_with_the_right_the_masked_document_is_shown(asked: Asked, caller: str, path: str) -> None:
    _, text = await asked.get(caller, path)
    assert user_data(text) == {"digest": DIGEST, "document": DOCUMENT, "problems": []}


async def test_what_holds_user_data_verbatim_needs_the_right(asked: Asked) -> None:
    period = "from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"
    for path in (f"/v1/statements/{asked.statement}", f"/v1/bundles?{period}", "/v1/log/tile/entries/000.p/1"):
        status, text = await asked.get("reader", path)
        assert (status, json.loads(text)["code"]) == (403, "user-data-forbidden"), path
        assert (await asked.get("auditor", path))[0] == 200, path


async def test_an_entry_is_shown_by_its_number_and_its_text_with_the_right_only(asked: Asked) -> None:
    index = json.loads((await asked.get("reader", f"/v1/receipts/{asked.statement}"))[1])["ledger_index"]
    status, text = await asked.get("reader", f"/v1/log/entries/{index}")
    shown = json.loads(text)
    assert (status, shown["kind"], shown["digest"]) == (200, "statement", asked.statement)
    assert (shown["state"], shown["content"]) == ("withheld", None)
    assert shown["receipt"].startswith(f"c2sp.org/tlog-proof@v1\nindex {index}\n")
    whole = json.loads((await asked.get("auditor", f"/v1/log/entries/{index}"))[1])
    assert (whole["state"], whole["size"]) == ("shown", len(whole["content"].encode()))
    assert sha256_digest(whole["content"].encode()) == asked.statement


@pytest.mark.parametrize(
    "index, status, code", [("999999", 404, "entry-unknown"), ("01", 400, "parameter-malformed"), ("x", 400, "parameter-malformed")]
)  # fmt: skip
async def test_an_entry_that_is_not_there_is_refused(asked: Asked, index: str, status: int, code: str) -> None:
    answered, text = await asked.get("reader", f"/v1/log/entries/{index}")
    assert (answered, json.loads(text)["code"]) == (status, code)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/receipts/{}",
        "/v1/receipts/{}.tlog-proof",
        "/v1/instances",
        "/v1/summary",
        "/v1/violations",
        "/v1/log/checkpoint",
        "/v1/log/tile/0/000.p/1",
        "/apps",
        "/v1/accounts",
    ],
)
async def test_proofs_and_lists_hold_no_user_data_and_need_no_right(asked: Asked, path: str) -> None:
    status, text = await asked.get("reader", path.format(asked.statement))
    assert status == 200
    assert "confidential" not in text
