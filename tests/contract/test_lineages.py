"""Lineages: every state is derived from evidence, forward and back, now and then."""

from __future__ import annotations

import json

import pytest

from fakes.in_process import ROOT, InProcess
from fakes.machine import COMMIT, DIGEST, FAILED, Machine, scm
from whence_aggregator.applications.applications import TicketSettings
from whence_aggregator.collect.handlers import AWAITED_SECONDS_MIN
from whence_aggregator.ports import NotFound, SourceUnavailable
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.trace.lineage import LINK_NAMES
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.search import Wanted
from whence_aggregator.trace.state import States
from whence_aggregator.trace.tracer import TraceSubject
from whence_common.clock import parse_instant
from whence_common.digest import sha256_digest
from whence_common.statement import ContainerFacts, ScmSourceFacts

COMMIT_OBJECT = (
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor Ada <ada@example.org> 1763800000 +0100\n"
    b"committer Ada <ada@example.org> 1763800000 +0100\n\nDEMO-7: greet (#345)\n\nFixes #12.\n"
)
SCM = json.dumps(
    {"url": "git:https://git.example.org/demo/greeter.git", "revision": COMMIT, "author": "ada", "status": ""}
).encode()


async def spoken(house: InProcess, **changes: object) -> Machine:
    """Give a machine that has said that it runs the image, whose sources all answer."""
    house.sources.images[DIGEST] = SCM
    house.sources.commits[COMMIT] = COMMIT_OBJECT
    machine = await house.machine()
    await house.say(machine, **{"scm_source": scm(digest=sha256_digest(SCM)), **changes})
    return machine


async def states(house: InProcess) -> dict[str, str]:
    return {link.link: link.state for link in (await house.lineage()).links}


async def test_a_lineage_has_every_link_in_order(house: InProcess) -> None:
    await spoken(house)
    assert tuple(link.link for link in (await house.lineage()).links) == LINK_NAMES


async def test_with_every_source_available_the_lineage_has_no_gap_but_the_review_and_lists_what_was_not_checked(
    house: InProcess,
) -> None:
    await house.register(specification_url="https://tickets.example.org")
    await spoken(house)
    await house.work()
    assert await states(house) == {
        "account": "unknown", "team": "asserted", "instance": "confirmed", "ami": "confirmed",
        "user_data": "asserted", "application": "confirmed", "version": "asserted", "image": "confirmed",
            "approval": "unknown",
        "source": "asserted", "commit": "asserted", "review": "unknown", "ticket": "asserted",
        "specification": "asserted",
    }  # fmt: skip
    lineage = await house.lineage()
    assert ([one.link for one in lineage.not_checked], lineage.complete) == (["review", "ticket"], False)


async def test_before_anything_is_collected_links_are_unknown_with_a_reason(house: InProcess) -> None:
    await spoken(house)
    lineage = await house.lineage()
    assert (lineage.link("image").state, lineage.link("commit").state, lineage.link("ticket").state) == (
        "asserted", "unknown", "unknown",
    )  # fmt: skip
    assert "not collected yet" in (lineage.link("commit").reason or "")
    assert not lineage.complete


async def test_a_source_that_is_away_leaves_unknown_with_reason_and_next_attempt(house: InProcess) -> None:
    await spoken(house)
    house.sources.commits[COMMIT] = SourceUnavailable("git-refused", "the Git server is away")
    await house.work()
    reason = (await house.lineage()).link("commit").reason
    assert reason == "the Git server is away; next attempt at 2026-11-22T12:00:10.000Z"


async def test_a_source_that_comes_back_is_asked_again_when_due(house: InProcess) -> None:
    await spoken(house)
    house.sources.commits[COMMIT] = SourceUnavailable("git-refused", "the Git server is away")
    await house.work()
    house.sources.commits[COMMIT] = COMMIT_OBJECT
    await house.work()
    assert await house.state("commit") == "unknown"
    house.clock.advance(11)
    await house.work()
    assert await house.state("commit") == "asserted"


async def test_a_commit_the_server_does_not_have_is_missing(house: InProcess) -> None:
    await spoken(house)
    house.sources.commits[COMMIT] = None
    await house.work()
    assert await house.state("commit") == "missing"


async def test_what_was_not_there_is_found_when_it_comes(house: InProcess) -> None:
    """A machine may boot before its commit is pushed, or its image copied to where it is looked for."""
    absent = SourceUnavailable("registry-image-unknown", "the registry does not have it")
    await spoken(house)
    house.sources.commits[COMMIT], house.sources.images[DIGEST] = None, absent
    await house.work()
    assert (await house.state("commit"), await house.state("image")) == ("missing", "contradicted")
    house.sources.commits[COMMIT], house.sources.images[DIGEST] = COMMIT_OBJECT, SCM
    await house.work()
    assert await house.state("commit") == "missing"
    house.clock.advance(AWAITED_SECONDS_MIN)
    await house.work()
    assert (await house.state("commit"), await house.state("image")) == ("asserted", "confirmed")
    assert await house.database.fetch(TASKS_OF_KIND.bind({"kind": "commit"})) == []


async def test_what_never_comes_is_asked_for_ever_more_seldom_and_then_no_more(house: InProcess) -> None:
    await spoken(house)
    house.sources.commits[COMMIT] = None
    began, pauses = house.clock(), []
    await house.work()
    while rows := await house.database.fetch(TASKS_OF_KIND.bind({"kind": "commit"})):
        due = parse_instant(rows[0]["due_at"])
        pauses.append((due - house.clock()).total_seconds())
        house.clock.advance(pauses[-1])
        await house.work()
    assert pauses[:4] == [300.0, 300.0, 600.0, 1200.0]
    assert (sorted(pauses), max(pauses), len(pauses)) == (pauses, 86_400.0, 23)
    assert 14 <= (house.clock() - began).days <= 15
    assert len([one for one in await house.entries("fact") if b'"commit"' in (one.content or b"")]) == 1
    assert await house.state("commit") == "missing"


async def test_a_dirty_tree_contradicts_its_commit(house: InProcess) -> None:
    await spoken(house, scm_source=scm(status=" M app.py"))
    house.sources.images[DIGEST] = SourceUnavailable("registry-unreachable", "away")
    await house.work()
    assert await house.state("commit") == "contradicted"


async def test_agent_and_registry_reading_different_sources_is_a_contradiction_that_shows_both(
    house: InProcess,
) -> None:
    await spoken(house, scm_source=scm(digest="sha256:" + "9" * 64))
    await house.work()
    link = (await house.lineage()).link("source")
    assert link.state == "contradicted"
    assert link.value is not None
    assert link.value["registry"]["digest"] == sha256_digest(SCM)
    assert [one.source for one in link.evidence] == ["agent", "registry"]


async def test_an_image_that_the_registry_does_not_know_is_contradicted(house: InProcess) -> None:
    await spoken(house)
    house.sources.images[DIGEST] = SourceUnavailable("registry-image-unknown", "the registry does not have it")
    await house.work()
    assert await house.state("image") == "contradicted"


async def test_a_container_with_another_image_is_a_contradiction(house: InProcess) -> None:
    other = ContainerFacts(name="taupageapp", container_id="2", image_digest="sha256:" + "0" * 64, state="running")
    await spoken(house, containers=[other])
    await house.work()
    assert await house.state("image") == "contradicted"


async def test_an_image_without_source_is_missing_it(house: InProcess) -> None:
    await spoken(house, scm_source=ScmSourceFacts(status="missing", reason="the image has no /scm-source.json"))
    house.sources.images[DIGEST] = None
    await house.work()
    lineage = await house.lineage()
    assert (lineage.link("source").state, lineage.link("commit").state) == ("missing", "unknown")


async def test_a_source_the_agent_could_not_read_is_taken_from_the_registry(house: InProcess) -> None:
    await spoken(house, scm_source=None)
    await house.work()
    assert (await house.state("source"), await house.state("commit")) == ("asserted", "asserted")


async def test_a_revision_that_is_not_a_commit_id_is_missing(house: InProcess) -> None:
    await spoken(house, scm_source=scm(revision="main"))
    assert await house.state("commit") == "missing"


async def test_a_failed_boot_has_a_reason_and_later_links_are_not_guessed(house: InProcess) -> None:
    await house.register()
    await house.say(await house.machine(), **FAILED)
    lineage = await house.lineage()
    assert lineage.link("image").reason == "nothing runs: it moves"
    assert {lineage.link(name).state for name in ("image", "source", "commit", "ticket")} == {"missing"}
    assert lineage.link("application").state == "confirmed"
    assert lineage.link("user_data").reason == "1 error; nothing was started"


async def test_an_unregistered_application_has_no_team(house: InProcess) -> None:
    await spoken(house)
    assert (await house.state("application"), await house.state("team")) == ("missing", "missing")


async def test_tickets_are_found_by_the_applications_own_patterns(house: InProcess) -> None:
    await house.register()
    settings = TicketSettings(patterns=["DEMO-{number}"], url="https://tickets.example.org/{ticket}")
    await house.applications.write_tickets("greeter", settings, ROOT)
    await spoken(house)
    await house.work()
    named = {"id": "DEMO-7", "pattern": "DEMO-{number}", "place": "subject", "line": 1}
    assert (await house.lineage()).link("ticket").value == {
        "tickets": [{**named, "url": "https://tickets.example.org/DEMO-7"}],
        "reviews": [{"id": "#345", "pattern": "subject (#{number})", "place": "subject", "line": 1}],
    }  # fmt: skip


async def test_a_message_without_ticket_is_missing_one(house: InProcess) -> None:
    await spoken(house)
    house.sources.commits[COMMIT] = COMMIT_OBJECT.replace(b"DEMO-7", b"Tidy").replace(b"#12", b"that")
    await house.work()
    link = (await house.lineage()).link("ticket")
    assert (link.state, link.reason) == (
        "missing", "the commit message names no ticket; #345 is the number of a review",
    )  # fmt: skip


@pytest.mark.parametrize(
    "subject",
    [
        TraceSubject(kind="image", value=DIGEST),
        TraceSubject(kind="commit", value=COMMIT),
        TraceSubject(kind="commit", value=COMMIT[:7]),
        TraceSubject(kind="ticket", value="DEMO-7"),
        TraceSubject(kind="ticket", value="#12"),
        TraceSubject(kind="application", value="greeter"),
        TraceSubject(kind="application", value="greeter", version="1.0"),
        TraceSubject(kind="user_data", value="sha256:" + "a" * 64),
    ],
)
async def test_every_subject_leads_back_to_the_instance(house: InProcess, subject: TraceSubject) -> None:
    await spoken(house)
    await house.say(await house.machine("i-00000000000000001"), **FAILED, user_data=None, application=None)
    await house.work()
    house.clock.advance(7200)
    for at in (None, "2026-11-22T13:00:00.000Z"):
        moment = await house.tracer.moments.of(at)
        lineages, following = await house.tracer.matching(subject, moment=moment, states=States(), after="", limit=10)
        assert [lineage.instance_id for lineage in lineages] == ["i-0123456789abcdef0"]
        assert following is None


@pytest.mark.parametrize(
    "subject",
    [
        TraceSubject(kind="image", value="sha256:" + "0" * 64),
        TraceSubject(kind="commit", value="0" * 40),
        TraceSubject(kind="ticket", value="DEMO-8"),
        TraceSubject(kind="ticket", value="DEMO"),
        TraceSubject(kind="ticket", value="#345"),
        TraceSubject(kind="application", value="greeter", version="2.0"),
    ],
)
async def test_a_subject_that_does_not_run_matches_no_instance(house: InProcess, subject: TraceSubject) -> None:
    await spoken(house)
    await house.work()
    assert await house.tracer.matching(subject, moment=NOW, after="", limit=10) == ([], None)


async def test_a_list_by_ticket_has_the_instances_whose_traces_show_it(house: InProcess) -> None:
    """The number of a review is a word of the message, and no ticket."""
    await spoken(house)
    await house.work()
    listed = {}
    for ticket in ("DEMO-7", "#12", "#345"):
        rows, _ = await house.search.instances(Wanted(ticket=ticket), after="", limit=10)
        listed[ticket] = len(rows), len(await house.tracer.naming(ticket, rows, moment=NOW))
    assert listed == {"DEMO-7": (1, 1), "#12": (1, 1), "#345": (1, 0)}


async def test_a_trace_at_a_time_shows_what_ran_then(house: InProcess) -> None:
    machine = await spoken(house)
    house.clock.advance(3600)
    await house.say(machine, **FAILED, observed_at="2026-11-22T13:00:00.000Z")
    house.clock.advance(3600)
    then = await house.lineage(at="2026-11-22T12:30:00.000Z")
    assert (then.link("image").value or {})["digest"] == DIGEST
    assert await house.state("image") == "missing"
    with pytest.raises(NotFound):
        await house.lineage(at="2026-11-22T11:30:00.000Z")
    image = TraceSubject(kind="image", value=DIGEST)
    for at, hits in (("2026-11-22T12:30:00.000Z", 1), ("2026-11-22T13:30:00.000Z", 0)):
        moment = await house.tracer.moments.of(at)
        assert len((await house.tracer.matching(image, moment=moment, after="", limit=9))[0]) == hits


async def test_the_application_is_shown_as_it_was_then(house: InProcess) -> None:
    await house.register(team_id="first")
    await spoken(house)
    before = "2026-11-22T12:00:30.000Z"
    house.clock.advance(60)
    await house.register(team_id="second")
    assert (await house.lineage()).link("team").value == {"team_id": "second"}
    assert (await house.lineage(at=before)).link("team").value == {"team_id": "first"}


async def test_pages_go_through_all_instances_once(house: InProcess) -> None:
    for number in range(5):
        await house.say(await house.machine(f"i-{number:017x}"))
    found, after = [], ""
    for _ in range(10):
        lineages, following = await house.tracer.matching(
            TraceSubject(kind="application", value="greeter"), moment=NOW, after=after, limit=2
        )
        found += [lineage.instance_id for lineage in lineages]
        if following is None:
            break
        after = following
    assert found == [f"i-{number:017x}" for number in range(5)]


async def test_evidence_names_the_ledger_entry_it_stands_in(house: InProcess) -> None:
    await spoken(house)
    await house.work()
    for link in (await house.lineage()).links:
        for evidence in link.evidence:
            assert evidence.ledger_index is not None
            entry = await house.reader.entry(evidence.ledger_index)
            assert entry.kind in ("statement", "enrolment", "fact", "application")
