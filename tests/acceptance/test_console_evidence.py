"""In a real browser: receipts and bundles are verified in the page, and violations acted on without scripts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from fakes.chromium import Chromium, Theme, chromium
from fakes.console import FakeAsk, shown
from fakes.console_violations import AT, NAME, exemption, listed, member, rule, step, violation, whole
from fakes.signing_authority import SigningAuthority
from landscape.violations_served import Served, violations_served
from landscape.whole import ROOT
from whence_aggregator.console.acknowledge_page import show_acknowledge
from whence_aggregator.console.exemptions_page import show_exemptions
from whence_aggregator.console.frame import ASSETS
from whence_aggregator.console.rule_pages import show_rules
from whence_aggregator.console.violation_list import show_violations
from whence_aggregator.console.violation_page import show_violation
from whence_common.clock import utc_now

PICTURES = ROOT / "build" / "console"
_TAMPERED_LINES = 10


@pytest.fixture(scope="module")
async def served(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with violations_served(authority, tmp_path_factory.mktemp("console-evidence")) as one:
        yield one


async def signed_in(served: Served, person: Chromium, who: str = "ada") -> None:
    await person.page.goto(f"{served.server.url}/console/")
    await person.page.get_by_label("Token of the tokens file").fill(served.tokens[who])
    await person.page.get_by_role("button", name="Sign in").click()
    await person.page.wait_for_url("**/console/")


@pytest.fixture(scope="module")
async def ada(served: Served) -> AsyncIterator[Chromium]:
    async with chromium() as person:
        await signed_in(served, person)
        yield person


async def saved(person: Chromium, link: str) -> bytes:
    """Save what a link or button of the open page leads to."""
    async with person.page.expect_download() as begun:
        await person.page.get_by_text(link, exact=True).click()
    return Path(await (await begun.value).path()).read_bytes()


async def verified(served: Served, person: Chromium, *files: tuple[str, bytes], keys: str = "") -> str:
    """Choose files on the page of evidence, verify them, and return what it states; no request may be sent."""
    page = person.page
    await page.goto(f"{served.server.url}/console/evidence")
    if keys:
        await page.get_by_label("Keys that you trust").fill(keys)
    await page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    chosen: list[Any] = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content} for name, content in files
    ]
    await page.get_by_label("A .tlog-proof file").set_input_files(chosen)
    await page.get_by_role("button", name="Verify").click()
    await expect(page.locator("#verified h3")).to_be_visible()
    assert asked == []
    return await page.inner_text("#verified")


@pytest.fixture(scope="module")
async def receipt(served: Served, ada: Chromium) -> tuple[bytes, bytes]:
    """A statement and its receipt, saved as a person saves them."""
    await ada.page.goto(f"{served.server.url}/console/evidence")
    await ada.page.get_by_label("Its number, or the digest of its bytes").fill(served.digest)
    await ada.page.get_by_role("button", name="Show", exact=True).click()
    await ada.page.wait_for_url("**/console/evidence/*")
    return await saved(ada, "Save the entry"), await saved(ada, "Save the receipt")


async def test_a_good_receipt_is_accepted_and_what_it_proves_is_stated(
    served: Served, ada: Chromium, receipt: tuple[bytes, bytes]
) -> None:
    entry, proof = receipt
    stated = await verified(served, ada, ("entry.json", entry), ("entry.tlog-proof", proof))
    assert "is in the log of whence.example.org, unchanged" in stated
    assert f"The entry with the digest {served.digest} is number" in stated
    assert "That what the entry states is true" in stated
    assert ada.complaints == []


def _tampered(entry: bytes, proof: bytes) -> dict[str, tuple[bytes, bytes, str]]:
    """Return entries and receipts, each with one change, and what names the fault."""
    text = proof.decode()
    lines = text.split("\n")
    index = int(lines[1].removeprefix("index "))
    blank = lines.index("")
    other = "A" * 43 + "="

    def line(number: int, new: str) -> bytes:
        return "\n".join([*lines[:number], new, *lines[number + 1 :]]).encode()

    signature = next(n for n, one in enumerate(lines) if one.startswith("—"))
    return {
        "entry changed": (entry + b" ", proof, "does not lead from entry"),
        "number changed": (entry, line(1, f"index {index - 1}"), "does not lead from entry"),
        "number outside": (entry, line(1, "index 9999999"), "is not among the"),
        "number malformed": (entry, line(1, f"index 0{index}"), "it has no line `index N`"),
        "hash changed": (entry, line(2, other), "does not lead from entry"),
        "hash removed": (entry, "\n".join(lines[:2] + lines[3:]).encode(), "lacks hashes"),
        "hash malformed": (entry, line(2, lines[2][:-1]), "is not a SHA-256 hash in base64"),
        "size changed": (
            entry,
            line(blank + 2, "7777777"),
            "The signature of the log whence.example.org does not hold",
        ),
        "root changed": (entry, line(blank + 3, other), "The signature of the log whence.example.org does not hold"),
        "origin changed": (entry, line(blank + 1, "other.example.org"), "does not hold"),
        "signature cut": (entry, line(signature, lines[signature][:-4]), "does not hold"),
        "receipt cut": (entry, "\n".join(lines[:blank]).encode(), "no blank line separates proof and checkpoint"),
    }


async def test_the_fault_of_each_tampered_receipt_is_named(
    served: Served, ada: Chromium, receipt: tuple[bytes, bytes]
) -> None:
    cases = _tampered(*receipt)
    assert len(cases) >= _TAMPERED_LINES
    for name, (entry, proof, fault) in cases.items():
        stated = await verified(served, ada, ("entry.json", entry), ("entry.tlog-proof", proof))
        assert "This is not proved: a fault was found" in stated, name
        assert fault in stated, name
        assert "unchanged" not in stated, name


async def test_a_receipt_is_refused_by_another_key(served: Served, ada: Chromium, receipt: tuple[bytes, bytes]) -> None:
    other = "whence.example.org+7c3b8c7d+AXEnTEnPaXkB6k0nLL4DnPuTNDGXDFPiJoCPqOgpbRlB"
    stated = await verified(served, ada, ("e", receipt[0]), ("r", receipt[1]), keys=other)
    assert "Fault: " in stated


async def test_a_bundle_is_saved_and_accepted_and_a_changed_one_is_not(served: Served, ada: Chromium) -> None:
    await ada.page.goto(f"{served.server.url}/console/evidence")
    bundle = await saved(ada, "Save the bundle")
    stated = await verified(served, ada, ("november.bundle", bundle))
    assert "entries of the file are in the log of whence.example.org, unchanged" in stated
    assert "3 statements are signed by the keys that their instances enrolled." in stated
    changed = bundle.replace(b'\\"kind\\":\\"instance\\"', b'\\"kind\\":\\"instanse\\"', 1)
    assert changed != bundle
    stated = await verified(served, ada, ("november.bundle", changed))
    assert "The root of the entries is not the one that was signed" in stated


async def test_without_scripts_the_page_names_the_command_that_verifies(served: Served) -> None:
    async with chromium(scripts=False) as person:
        await signed_in(served, person)
        await person.page.goto(f"{served.server.url}/console/evidence")
        assert "whence verify FILE --log-key log.keys" in await person.text()
        assert not await person.page.locator("#verify").is_visible()


async def test_a_violation_is_exempted_as_previewed_and_undone_without_scripts(served: Served) -> None:
    async with chromium(scripts=False) as person:
        await signed_in(served, person)
        page = person.page
        await page.get_by_role("navigation").get_by_role("link", name="Violations", exact=True).click()
        await page.get_by_label("Rule", exact=True).select_option("boot-failed")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name=re.compile("Members, evidence and what to do")).click()
        await page.get_by_label("Reason, for the auditor").fill("1.1 is built on Monday")
        until = (utc_now() + timedelta(days=3)).date().isoformat()
        await page.get_by_label("Until the end of").fill(until)
        await page.get_by_role("button", name="Preview: nothing is written").click()
        assert "Exempts 1 violation now" in await person.text()
        await person.keep(PICTURES, "exemption-preview")
        await page.get_by_role("button", name=f"Exempt 1 violation until the end of {until}").click()
        assert "Exempted by ada" in await person.text()
        assert "and is exempted" in await page.inner_text("h1")
        await page.get_by_role("button", name="Undo").click()
        assert "Exemption ended by ada" in await person.text()


async def test_several_violations_are_chosen_shown_and_acknowledged_without_scripts(served: Served) -> None:
    async with chromium(scripts=False) as person:
        await signed_in(served, person)
        page = person.page
        await page.set_viewport_size({"width": 320, "height": 1000})
        await page.goto(f"{served.server.url}/console/violations")
        boxes = page.get_by_role("checkbox", name=re.compile("^Choose "))
        count = min(await boxes.count(), 2)
        assert count == 2
        for number in range(count):
            await boxes.nth(number).focus()
            await page.keyboard.press("Space")
        assert not await person.is_wider_than_screen()
        await page.get_by_role("button", name="Acknowledge those that are ticked").click()
        assert "2 violations to acknowledge: nothing is written yet" in await person.text()
        assert not await person.is_wider_than_screen()
        await page.get_by_label("Comment, recorded").fill("the team looks after them")
        await page.get_by_role("button", name="Acknowledge 2 violations").click()
        assert "2 of 2 chosen violations are acknowledged" in await person.text()
        assert (await person.text()).count("the team looks after them") == 2
        await person.keep(PICTURES, "acknowledged")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_forms_with_previews_refusals_and_results_are_accessible(
    served: Served, ada: Chromium, receipt: tuple[bytes, bytes], theme: Theme
) -> None:
    found: dict[str, list[str]] = {}
    page = ada.page
    await page.emulate_media(color_scheme=theme)
    await verified(served, ada, ("entry.json", receipt[0] + b" "), ("entry.tlog-proof", receipt[1]))
    found["verified"] = await ada.findings()
    await ada.keep(PICTURES, f"{theme}-verified")
    await page.goto(f"{served.server.url}/console/violations?rule=boot-failed&at=2999-01-01T00:00:00Z")
    found["filter refused"] = await ada.findings()
    await page.goto(f"{served.server.url}/console/violations?rule=boot-failed")
    found["list"] = await ada.findings()
    await page.get_by_role("link", name=re.compile("Members, evidence and what to do")).click()
    await page.get_by_label("Reason, for the auditor").fill("1.1 is built on Monday")
    await page.get_by_role("button", name="Preview: nothing is written").click()
    found["preview"] = await ada.findings()
    names = [one["id"] for one in (await served.server.get("/v1/violations", grouped="true"))["violations"]]
    await page.goto(f"{served.server.url}/console/acknowledge?{'&'.join(f'{name}=on' for name in names)}")
    found["acknowledge"] = await ada.findings()
    for width in (320, 3840):
        await page.set_viewport_size({"width": width, "height": 1000})
        assert not await ada.is_wider_than_screen(), width
    await page.set_viewport_size({"width": 1400, "height": 1000})
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert [one for one in ada.complaints if "400" not in one] == []


@pytest.mark.parametrize("width", [320, 1400])
async def test_names_of_any_length_widen_no_page(width: int) -> None:
    long = "W" * 10_000
    one = whole(
        reason=long, remedy=long, team=long, application_id=long, rule=long, account_id=long,
        subject={"kind": "application", "id": long}, steps=[step(comment=long, by=long, exemption=long)],
        instances=[member(1, reason=long, instance_id=long, region=long, account_id=long)],
        folded=[{"rule": long, "instances": 1}],
    )  # fmt: skip
    several = {key: value for key, value in one.items() if key in violation()}
    rules = {"rules": [rule(id=long, title=long, rationale=long, remedy=long)]}
    path = f"/v1/violations/{NAME}"
    granted = exemption(reason=long, granted_by=long, scope={"application": long, "version": long, "account": None, "ami": None, "team": long})  # fmt: skip
    pages = [
        await shown(show_violations, FakeAsk({"/v1/violations": listed(several), path: one, "/v1/rules": rules})),
        await shown(show_violation, FakeAsk({path: one, "/v1/rules": rules}), path={"id": NAME}),
        await shown(show_acknowledge, FakeAsk({path: one}), query={NAME: "on"}),
        await shown(show_exemptions, FakeAsk({"/v1/exemptions": {"at": AT, "known_at": AT, "exemptions": [granted]}})),
        await shown(show_rules, FakeAsk({"/v1/rules": rules, "/v1/violations": listed(several)})),
    ]
    style = ASSETS["style.css"].content.decode()
    async with chromium(scripts=False) as person:
        await person.page.set_viewport_size({"width": width, "height": 1000})
        for page in pages:
            await person.page.set_content(page.replace("</head>", f"<style>{style}</style></head>"))
            assert not await person.is_wider_than_screen(), await person.page.title()
