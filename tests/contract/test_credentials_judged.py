"""What rules find about credentials of instances that speak, on both databases: as time passes, and replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract.test_instance_credentials import ONE, holding, say
from contract.test_judged_findings import differences
from fakes.beats import recorded
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.mint.log_known import note_log
from whence_aggregator.mint.state import StoredMint
from whence_aggregator.mint.store import MintStore
from whence_aggregator.mint.values import CredentialKind, MintApplication
from whence_aggregator.ports import Database
from whence_aggregator.projections.credentials import CREDENTIAL, credential_write
from whence_aggregator.queries.compliance import MARK_EVERY_SUBJECT, VERDICTS_OF, VERDICTS_OF_SUBJECTS
from whence_aggregator.queries.query import array, instance_ids
from whence_aggregator.whence.words import paragraph
from whence_common.clock import to_instant
from whence_common.ledger_entry import event

MINT: tuple[ConfiguredSource, ...] = ("mint",)
RULES = RulesInForce.of(
    RuleSettings(credential_lag_minutes_max=30, client_credential_days_max=1, credential_unread_hours_max=1), MINT
)
ALL = ("intended", "generated", "published", "committed")
BEHIND, TAMPERED, PASSWORD = "credentials-not-rotated", "credentials-tampered", "password-grant-used"
OLD, UNREAD = "credentials-old", "credentials-unread"
NAMES = (BEHIND, TAMPERED, PASSWORD, OLD, UNREAD)


@pytest.fixture
async def judged(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority, rules=RULES).running() as house:
        yield house


async def mint(house: InProcess, generation: str, *steps: str, version_id: str = "v-1") -> None:
    """Record steps of a generation of greeter's client."""
    for step in steps or ALL:
        house.clock.advance(1)
        stated = {
            "application_id": "greeter", "credential": "client", "generation": generation, "provider": "stups",
            "step": step, "at": to_instant(house.clock()), "client_id": "c", "reason": "", "mac": "",
            "written": {} if step in ("intended", "generated") else {"one": version_id},
        }  # fmt: skip
        async with house.ledger.writing() as writing:
            ((index, _),) = await writing.append([NewEntry(kind=CREDENTIAL, content=event(CREDENTIAL, stated))])
            writing.writes.append(credential_write(index, stated))


async def verdicts(house: InProcess) -> dict[str, str]:
    """Return the verdicts about the instance and its application, after what the sweeps of an hour do.

    A pass that follows no other verdict is not recorded.
    """
    await house.database.write(MARK_EVERY_SUBJECT.bind([{"kind": "application"}]))
    await house.evaluator.sweep()
    await house.work()
    rows = [
        *await house.database.fetch(VERDICTS_OF.bind(instance_ids([ONE]))),
        *await house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array(["greeter"])})),
    ]
    return dict.fromkeys(NAMES, "pass") | {row["rule"]: row["verdict"] for row in rows if row["rule"] in NAMES}


async def test_an_application_that_mint_does_not_know_violates_nothing(judged: InProcess) -> None:
    await say(judged, await judged.machine(ONE), **holding("0a", "0b"))
    assert set((await verdicts(judged)).values()) == {"pass"}


async def test_an_instance_that_stays_behind_fails_as_time_passes_and_passes_once_it_has_read(
    judged: InProcess, tmp_path: Path
) -> None:
    await mint(judged, "0a")
    machine = await judged.machine(ONE)
    await say(judged, machine, **holding(client="0a", version_id="v-1"))
    await mint(judged, "0b", version_id="v-2")
    await say(judged, machine, **holding(client="0a", version_id="v-1"))
    found = await verdicts(judged)
    assert (found[BEHIND], found[TAMPERED], found[PASSWORD], found[UNREAD]) == ("pass", "pass", "pass", "pass")
    judged.clock.advance(31 * 60)
    beat = recorded(ONE, 1, judged.clock())
    await judged.heartbeats.accept(beat.body, beat.mac)
    assert (await verdicts(judged))[BEHIND] == "fail"
    await say(judged, machine, **holding(client="0b", version_id="v-2"))
    assert (await verdicts(judged))[BEHIND] == "pass"
    assert await differences(judged, tmp_path) == []


async def test_a_version_that_mint_never_wrote_becomes_a_violation(judged: InProcess, tmp_path: Path) -> None:
    await mint(judged, "0a")
    machine = await judged.machine(ONE)
    await say(judged, machine, **holding(client="0a", version_id="v-9"))
    assert (await verdicts(judged))[TAMPERED] == "unknown"
    judged.clock.advance(16 * 60)
    assert (await verdicts(judged))[TAMPERED] == "unknown", "a silent agent could not say that it has read another one"
    beat = recorded(ONE, 1, judged.clock())
    await judged.heartbeats.accept(beat.body, beat.mac)
    assert (await verdicts(judged))[TAMPERED] == "fail"
    assert await differences(judged, tmp_path) == []


async def test_a_generation_that_mint_never_made_is_a_violation_at_once(judged: InProcess) -> None:
    await mint(judged, "0a")
    await say(judged, await judged.machine(ONE), **holding(client="ff", version_id="v-1"))
    assert (await verdicts(judged))[TAMPERED] == "fail"


async def test_a_generation_that_a_restored_database_lacks_is_unknown_for_a_day(
    judged: InProcess, tmp_path: Path
) -> None:
    await mint(judged, "0a")
    await note_log(judged.database, "whence.example.org", judged.clock())
    await note_log(judged.database, "whence.example.org/2", judged.clock())
    machine = await judged.machine(ONE)
    judged.clock.advance(3600)
    await say(judged, machine, **holding(client="ff", version_id="v-1"))
    assert (await verdicts(judged))[TAMPERED] == "unknown"
    judged.clock.advance(24 * 3600)
    assert (await verdicts(judged))[TAMPERED] == "fail", "mint has rotated since, and the instance holds another one"
    assert await differences(judged, tmp_path) == []


async def test_a_bucket_that_was_tampered_with_is_a_violation_of_instances_whose_agents_do_not_say_what_they_hold(
    judged: InProcess, tmp_path: Path
) -> None:
    await mint(judged, "0a")
    await say(judged, await judged.machine(ONE))
    assert (await verdicts(judged))[TAMPERED] in ("pass", "unknown")
    await mint(judged, "0a", "tampered")
    assert (await verdicts(judged))[TAMPERED] == "fail"
    await mint(judged, "0b", "intended", "generated", "published", version_id="v-2")
    assert (await verdicts(judged))[TAMPERED] == "fail", "the bucket is good again when its renewal is committed"
    await mint(judged, "0b", "committed", version_id="v-2")
    assert (await verdicts(judged))[TAMPERED] == "fail", "the instance still has to read it"
    judged.clock.advance(16 * 60)
    assert (await verdicts(judged))[TAMPERED] == "unknown"
    await mint(judged, "0a", "ending", "ended")
    assert (await verdicts(judged))[TAMPERED] == "unknown"


async def test_a_bucket_that_is_mended_at_once_is_a_violation_all_the_same(judged: InProcess, tmp_path: Path) -> None:
    await mint(judged, "0a")
    await say(judged, await judged.machine(ONE))
    await mint(judged, "0a", "tampered")
    await mint(judged, "0b", version_id="v-2")
    assert (await verdicts(judged))[TAMPERED] == "fail"
    judged.clock.advance(16 * 60)
    assert (await verdicts(judged))[TAMPERED] == "unknown"
    assert await differences(judged, tmp_path) == []


async def test_an_agent_that_holds_what_mint_wrote_is_not_accused_of_a_bucket(judged: InProcess) -> None:
    await mint(judged, "0a")
    await say(judged, await judged.machine(ONE), **holding(client="0a", version_id="v-1"))
    await mint(judged, "0a", "tampered")
    assert (await verdicts(judged))[TAMPERED] == "pass"


async def test_a_generation_that_is_being_published_is_not_tampered_with(judged: InProcess) -> None:
    await mint(judged, "0a")
    await mint(judged, "0b", "intended", "generated")
    await say(judged, await judged.machine(ONE), **holding(client="0b", version_id="v-2"))
    judged.clock.advance(3600)
    assert (await verdicts(judged))[TAMPERED] == "unknown"


async def test_a_credential_grows_old_and_is_unread(judged: InProcess, tmp_path: Path) -> None:
    await mint(judged, "0a")
    machine = await judged.machine(ONE)
    judged.clock.advance(25 * 3600)
    await say(judged, machine, **holding())
    assert (await verdicts(judged))[UNREAD] == "unknown", "an instance that has just started has not read yet"
    judged.clock.advance(6 * 60)
    beat = recorded(ONE, 1, judged.clock())
    await judged.heartbeats.accept(beat.body, beat.mac)
    found = await verdicts(judged)
    assert (found[OLD], found[UNREAD]) == ("fail", "fail")
    await say(judged, machine, **holding(client="0a", version_id="v-1"))
    assert (await verdicts(judged))[UNREAD] == "pass"
    assert await differences(judged, tmp_path) == []


@pytest.mark.parametrize(("credentials", "outcome"), [(("user", "client"), "unknown"), (("client",), "fail")])
async def test_a_password_that_the_application_is_to_have_is_no_violation_before_mint_has_made_it(
    judged: InProcess, credentials: tuple[CredentialKind, ...], outcome: str
) -> None:
    """As after STUPS's mint: its password is held, and the first of this one may fail for hours."""
    application = MintApplication(
        application_id="greeter", team_id="hello", username="stups_greeter", is_confidential=True, provider="stups",
        credentials=credentials,
    )  # fmt: skip
    store = MintStore(database=judged.database, ledger=judged.ledger)
    await store.save(StoredMint(application=application, revision=0))
    await mint(judged, "0a")
    await say(judged, await judged.machine(ONE), **holding(user="", client="0a", version_id="v-1"))
    assert (await verdicts(judged))[PASSWORD] == outcome


async def test_a_client_without_a_secret_is_not_old(judged: InProcess) -> None:
    application = MintApplication(
        application_id="greeter", team_id="hello", username="stups_greeter", is_confidential=False, provider="stups",
        credentials=("client",),
    )  # fmt: skip
    store = MintStore(database=judged.database, ledger=judged.ledger)
    await store.save(StoredMint(application=application, revision=0))
    await mint(judged, "0a")
    await say(judged, await judged.machine(ONE), **holding(client="0a", version_id="v-1"))
    judged.clock.advance(25 * 3600)
    assert (await verdicts(judged))[OLD] == "pass"


async def test_an_agent_that_states_no_objects_leaves_what_it_reads_unknown(judged: InProcess) -> None:
    await mint(judged, "0a")
    machine = await judged.machine(ONE)
    judged.clock.advance(7200)
    await say(judged, machine)
    found = await verdicts(judged)
    assert {found[BEHIND], found[TAMPERED], found[PASSWORD], found[UNREAD]} == {"unknown"}


async def test_a_trace_shows_generations_and_when_they_were_made(judged: InProcess) -> None:
    await mint(judged, "0a")
    machine = await judged.machine(ONE)
    await say(judged, machine, **holding(user="ff", client="0a", version_id="v-1"))
    judged.clock.advance(7200)
    lineage = (await judged.lineage(ONE)).to_wire()
    assert isinstance(lineage["links"], list)
    (shown,) = [one["value"]["credentials"] for one in lineage["links"] if one["link"] == "instance"]
    by_file = {one["file"]: one for one in shown}
    assert by_file["user.json"]["minted_at"] is None, "mint never made it"
    client = by_file["client.json"]
    assert (client["generation"], client["version_id"]) == ("0a", "v-1")
    assert client["minted_at"] < client["held_since"]
    words = paragraph(lineage)
    assert "It holds client.json of generation 0a, made 2 hours ago; user.json of generation ff." in words


async def test_a_trace_of_an_agent_that_states_no_objects_has_no_credentials(judged: InProcess) -> None:
    await say(judged, await judged.machine(ONE))
    lineage = (await judged.lineage(ONE)).to_wire()
    assert isinstance(lineage["links"], list)
    assert [one for one in lineage["links"] if "credentials" in (one["value"] or {})] == []
    assert "It holds" not in paragraph(lineage)
