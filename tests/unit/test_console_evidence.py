"""The console's pages of evidence: the checkpoint as the server states it, entries by number, and files to save."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from fakes.console import AUDITOR, EVERYBODY, FakeAsk, answered, shown
from fakes.console_violations import AT, HOSTILE
from fakes.signed_logs import LOG, OTHER, WITNESSES, SignedLog
from whence_aggregator.console.asking import ApiAnswer, ApiRefused
from whence_aggregator.console.entry_files import save_receipt
from whence_aggregator.console.entry_page import save_entry, show_entry
from whence_aggregator.console.evidence_page import save_bundle, save_checkpoint, save_keys, show_evidence
from whence_aggregator.console.page import SavedAnswer, SavedFile, Visitor
from whence_common.digest import sha256_digest
from whence_common.log_policy import RevokedKey

ENTRIES = [f'{{"n":{n},"type":"urn:whence:example:v1"}}' for n in range(13)]
READER = Visitor(name="eve", teams=frozenset(), rights=frozenset())
KEYS = f"{LOG.verifier}\n{RevokedKey(key=OTHER.verifier, from_size=10, stolen=True)}\n"


def log() -> SignedLog:
    return SignedLog([text.encode() for text in ENTRIES])


def ask(note: str | None = None) -> FakeAsk:
    stated = log().note(witnesses=WITNESSES) if note is None else note
    return FakeAsk({"/v1/log/checkpoint": stated, "/v1/log/keys": KEYS})


def entry(**changes: Any) -> dict[str, Any]:
    content = ENTRIES[5]
    return {
        "ledger_index": 5, "kind": "example", "digest": sha256_digest(content.encode()), "size": len(content),
        "recorded_at": AT, "state": "shown", "content": content,
        "receipt": log().receipt(5, witnesses=WITNESSES).proof, **changes,
    }  # fmt: skip


async def entry_page(one: dict[str, Any], *, query: dict[str, str] | None = None, **further: Any) -> str:
    return await shown(show_entry, FakeAsk({"/v1/log/entries/5": one, **further}), path={"index": "5"}, query=query)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("<main")[2]))


async def test_the_checkpoint_is_shown_as_the_servers_word_with_its_signatures() -> None:
    page = await shown(show_evidence, ask())
    found = text_of(page)
    assert "The ledger of whence.example.org has 13 entries, signed by its key and cosigned by 2 witnesses" in found
    assert 'class="verdict is-asserted"' in page
    assert "This is what the server states." in found
    assert "witness-1.example.org" in found
    assert "14 Nov 2023 22:13:20" in found
    assert f"{LOG.verifier.id.hex()} in use" in found
    assert "revoked from 10 entries on: stolen" in found


async def test_without_witnesses_the_page_states_what_that_means() -> None:
    page = text_of(await shown(show_evidence, ask(log().note())))
    assert "cosigned by no witness" in page
    assert "without witnesses, a server can show different histories to different readers" in page
    assert "No witness is configured, or none has cosigned yet" in page


async def test_a_checkpoint_that_cannot_be_read_is_unknown() -> None:
    page = await shown(show_evidence, ask("nonsense"))
    assert "The ledger has no checkpoint that can be read" in page
    assert 'class="verdict is-unknown"' in page


async def test_the_form_that_verifies_is_hidden_until_the_script_shows_it_and_proposes_the_servers_keys() -> None:
    page = await shown(show_evidence, ask())
    assert '<form id="verify" class="stack tight" hidden>' in page
    assert "<noscript>" in page
    assert str(LOG.verifier).replace("+", "&#43;") in page or str(LOG.verifier) in page
    assert "A proof is worth what its key is" in page


@pytest.mark.parametrize("named", ["5", " 5 ", "0", "1,234"])
async def test_an_entry_is_found_by_its_number(named: str) -> None:
    number = named.strip().replace(",", "")
    assert await shown(show_evidence, ask(), query={"entry": named}) == f"/console/evidence/{number}"


async def test_an_entry_is_found_by_its_digest() -> None:
    digest = sha256_digest(ENTRIES[5].encode())
    receipt = {"digest": digest, "ledger_index": 5, "recorded_at": AT, "receipt": "…"}
    for named in (digest, digest.removeprefix("sha256:"), digest.removeprefix("sha256:").upper()):
        asking = ask()
        asking.answers[f"/v1/receipts/{digest}"] = receipt
        found = await shown(show_evidence, asking, query={"entry": named})
        assert found == "/console/evidence/5"


@pytest.mark.parametrize("named", ["nonsense", "-1", "05", "9" * 16, "sha256:" + "0" * 64, "٣"])
async def test_what_names_no_entry_is_refused_beside_the_form(named: str) -> None:
    page = await shown(show_evidence, ask(), query={"entry": named})
    assert "No entry is found by this." in text_of(page)
    assert "Write a number from 0 to 12" in text_of(page)
    assert f'value="{named}"' in page


async def test_a_bundle_is_offered_to_who_may_read_user_data() -> None:
    for visitor, offered in ((EVERYBODY, True), (AUDITOR, True), (READER, False)):
        page = await shown(show_evidence, ask(), visitor=visitor)
        assert ("Save the bundle" in page) is offered
        assert ("A bundle contains user data" in page) is not offered


async def test_a_bundle_is_asked_for_with_its_period_in_utc() -> None:
    query = {"from": "2026-11-01T00:00", "to": "2026-11-27", "account": "123456789012"}
    found = await answered(save_bundle, ask(), query=query)
    assert found == SavedAnswer(
        name="2026-11-01-2026-11-27-123456789012.bundle", path="/v1/bundles",
        parameters={"from": "2026-11-01T00:00:00Z", "to": "2026-11-27T00:00:00Z", "account": "123456789012"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [{}, {"from": "2026-11-01"}, {"from": "2026-11-02", "to": "2026-11-01"}, {"from": "2026-11-01", "to": "2026-11-02", "account": "1"}],
)  # fmt: skip
async def test_a_period_that_is_none_is_refused_beside_the_form(query: dict[str, str]) -> None:
    assert "a period begins before it ends" in text_of(await shown(save_bundle, ask(), query=query))


async def test_checkpoint_and_keys_are_saved_as_they_are() -> None:
    checkpoint, keys = await answered(save_checkpoint, ask()), await answered(save_keys, ask())
    assert isinstance(checkpoint, SavedFile)
    assert isinstance(keys, SavedFile)
    assert checkpoint.content.decode() == log().note(witnesses=WITNESSES)
    assert keys.content.decode() == KEYS


async def test_an_entry_is_shown_with_its_text_and_receipt_and_leads_to_its_neighbours() -> None:
    page = await entry_page(entry())
    found = text_of(page)
    assert "Entry 5 of the ledger is an example" in found
    assert "&#34;n&#34;: 5," in page
    assert "13 entries, 2 cosigned" in found
    assert 'href="/console/evidence/4"' in page
    assert 'href="/console/evidence/6"' in page
    assert 'href="/console/receipts/5"' in page


async def test_a_statement_is_shown_with_what_its_envelope_contains() -> None:
    payload = base64.b64encode(b'{"predicate":{"cause":"boot"}}').decode()
    content = json.dumps({"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": []})
    page = await entry_page(entry(kind="statement", content=content))
    assert "Entry 5 of the ledger is a statement" in page
    assert "&#34;cause&#34;: &#34;boot&#34;" in page
    for broken in ("{}", "[]", "nonsense", '{"payload": "*"}', '{"payload": "/w=="}'):
        assert "What the statement states" not in await entry_page(entry(kind="statement", content=broken))


async def test_a_text_that_is_withheld_or_removed_is_stated_and_cannot_be_saved() -> None:
    withheld = entry(state="withheld", content=None)
    removed = entry(state="removed", content=None, digest=None, size=None)
    assert "Their text is for who has the right" in text_of(await entry_page(withheld))
    assert "Retention removed its bytes." in text_of(await entry_page(removed))
    for one in (withheld, removed):
        assert "Save the entry" not in await entry_page(one)
        with pytest.raises(ApiRefused):
            await answered(save_entry, FakeAsk({"/v1/log/entries/5": one}), path={"index": "5"})


async def test_an_entry_and_its_receipt_are_saved_verbatim() -> None:
    asking = FakeAsk({"/v1/log/entries/5": entry()})
    saved, receipt = (
        await answered(save_entry, asking, path={"index": "5"}), await answered(save_receipt, asking, path={"name": "5"}),
    )  # fmt: skip
    assert isinstance(saved, SavedFile)
    assert isinstance(receipt, SavedFile)
    stem = sha256_digest(ENTRIES[5].encode()).removeprefix("sha256:")
    assert (saved.name, saved.content) == (f"{stem}.json", ENTRIES[5].encode())
    assert (receipt.name, receipt.content.decode()) == (f"{stem}.tlog-proof", entry()["receipt"])


def replayed(*, same: bool, missing: tuple[int, ...] = ()) -> dict[str, Any]:
    verdict = {
        "rule": "image-mutable", "version": 1, "verdict": "fail", "reason": "it moves",
        "replayed_verdict": "fail" if same else "pass", "replayed_reason": "", "same": same,
    }  # fmt: skip
    return {
        "ledger_index": 5, "subject": {"kind": "instance", "id": "i-1"}, "at": AT, "same": same, "missing": list(missing),
        "rests_on": [{"ledger_index": 3, "leaf": "aa"}], "verdicts": [verdict],
    }  # fmt: skip


async def test_a_verdict_is_judged_again_when_it_is_asked_for() -> None:
    verdict = entry(kind="verdict")
    assert "Judge it again" in await entry_page(verdict)
    asked = {"query": {"replay": "true"}}
    path = "/v1/verdicts/5/replay"
    assert "every verdict is the one that was recorded" in await entry_page(
        verdict, **{path: replayed(same=True)}, **asked
    )
    assert "a verdict differs from the one" in await entry_page(verdict, **{path: replayed(same=False)}, **asked)
    gone = await entry_page(verdict, **{path: replayed(same=False, missing=(3,))}, **asked)
    assert "Not judged: retention removed the entries" in gone
    assert "It cannot be judged again" in await entry_page(verdict, **asked)


@pytest.mark.parametrize("index", ["x", "-1", "05", "1" * 16])
async def test_an_address_that_names_no_entry_is_not_found(index: str) -> None:
    with pytest.raises(ApiRefused) as caught:
        await shown(show_entry, FakeAsk(), path={"index": index})
    assert caught.value.answer == ApiAnswer(
        status=404, document={"code": "not-found", "detail": "this is not a number"}
    )


async def test_hostile_text_of_the_ledger_is_shown_and_never_run() -> None:
    content = json.dumps({"type": HOSTILE, "payload": base64.b64encode(HOSTILE.encode()).decode()}, ensure_ascii=False)
    pages = [
        await entry_page(entry(kind=HOSTILE, content=content)),
        await entry_page(entry(kind="statement", content=content)),
        await shown(show_evidence, ask(log().note().replace("whence.example.org", "<script>alert(1)</script>"))),
        await shown(show_evidence, ask(), query={"entry": HOSTILE}),
    ]
    for page in pages:
        assert "<script>alert" not in page
        assert "\u202e" not in page
