"""What the log holds about one person is removed: bodies and rows go, hashes and everything else stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes.auditor import bundle, checked, dumped, policy, report
from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, scm
from fakes.organisation import FakeOrganisation
from whence_aggregator.applications.conditions import UNCONDITIONAL
from whence_aggregator.audit.forgetting import REMOVED_AT_ONCE_MAX, Forgetting, NamingEntry
from whence_aggregator.audit.naming import Persons, PersonUnusable
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.callers.caller import Caller
from whence_aggregator.collect.commits import CommitCollector
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.ledger.log_reader import Archive
from whence_aggregator.ledger.retention import Retention
from whence_aggregator.organisation.people import People
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.ports import CollectedFact, NotFound, StorageUnavailable
from whence_aggregator.projections.removals import REMOVED
from whence_aggregator.queries.collect import FACTS_NOW, KEEP_ANSWER, KEPT_ANSWER
from whence_aggregator.queries.ledger import PRUNE_ENTRY
from whence_aggregator.queries.query import array
from whence_aggregator.trackers.review import Review, Vote
from whence_aggregator.trackers.ticket import Ticket
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest
from whence_common.ledger_entry import kind_of
from whence_common.receipt import Receipt

ADA = Persons(["ada", "Ada Lovelace", "ada@example.org"])
COMMIT_OBJECT = (
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor Ada Lovelace <ada@example.org> 1763800000 +0100\n"
    b"committer Ada Lovelace <ada@example.org> 1763800000 +0100\n\nDEMO-7: greet\n"
)
SCM = b'{"url": "git:https://git.example.org/demo/greeter.git", "revision": "' + COMMIT.encode() + b'", "status": ""}'


class MemoryArchive:
    """An archive that a test can look into, and that may be away."""

    def __init__(self) -> None:
        self.bundles: dict[int, Sequence[bytes]] = {}
        self.away = False

    async def load(self, number: int) -> Sequence[bytes] | None:
        return self.bundles.get(number)

    async def store(self, number: int, entries: Sequence[bytes]) -> None:
        if self.away:
            raise StorageUnavailable("archive-unavailable", "the archive is away")
        self.bundles[number] = entries


async def read_members(house: InProcess, *members: str) -> None:
    house.clock.advance(60)
    source = FakeOrganisation(snapshot("file", teams=[StatedTeam(id="pay", members=list(members))]))
    await OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={"file": source}, now=house.clock
    ).read("file")


async def lived(house: InProcess) -> None:
    """Ada was in a team, changed an application, and wrote the commit that an instance runs."""
    await read_members(house, "ada", "bob")
    await read_members(house, "bob")
    await house.register()
    ada = Caller(name="ada", teams=None)
    kio = {"team_id": "hello", "name": "Greeter", "active": True, "incident_contact": "ada@example.org"}
    await house.applications.write("greeter", kio, ada)
    await house.register(incident_contact="on-call@example.org")
    house.sources.images[DIGEST], house.sources.commits[COMMIT] = SCM, COMMIT_OBJECT
    machine = await house.machine()
    await house.say(machine, scm_source=scm(digest=sha256_digest(SCM)))
    await house.work()
    house.clock.advance(60)


def forgetting(house: InProcess, archive: Archive | None = None) -> Forgetting:
    return Forgetting(database=house.database, ledger=house.ledger, archive=archive, now=house.clock)


async def forget(house: InProcess, archive: Archive | None = None) -> list[NamingEntry]:
    found = await forgetting(house, archive).find(ADA)
    await forgetting(house, archive).remove(found, reason="request 7")
    return found


def outline(found: list[NamingEntry]) -> list[tuple[str, str, str]]:
    return [(one.kind, one.about, one.kept) for one in found]


async def test_finding_lists_what_would_go_and_changes_nothing(house: InProcess) -> None:
    await lived(house)
    size = await house.reader.size()
    assert outline(await forgetting(house).find(ADA)) == [
        ("team-members", "pay by file", ""),
        ("application", "greeter, revision 2", ""),
        ("fact", f"commit git.example.org/demo/greeter@{COMMIT}", ""),
    ]
    assert await house.reader.size() == size
    assert await forgetting(house).find(Persons(["lovelace@example.org"])) == []


async def test_bodies_and_rows_go_and_the_log_states_how_many_and_why_and_no_name(house: InProcess) -> None:
    await lived(house)
    gone = [one.ledger_index for one in await forget(house)]
    entries = await house.entries()
    assert [one.ledger_index for one in entries if one.content is None] == gone
    name = re.compile(rb"\bada\b", re.IGNORECASE)  # digests may have the letters
    assert not any(name.search(one.content or b"") for one in entries if one.kind != "statement")
    stated = [kind_of(one.content or b"")[1] for one in entries if one.kind == "pruned"]
    assert [(one["kind"], one["bodies"], one["reason"]) for one in stated] == [
        ("application", 1, "request 7"), ("fact", 1, "request 7"), ("team-members", 1, "request 7"),
    ]  # fmt: skip
    assert not name.search(str(await dumped(house.database)).encode())
    with pytest.raises(NotFound):
        await People(house.database).person("ada")


async def test_check_rebuild_receipts_and_bundles_hold_after_it(house: InProcess, tmp_path: Path) -> None:
    await lived(house)
    before = await house.entries()
    gone = [one.ledger_index for one in await forget(house)]
    assert (await checked(house, tmp_path)).findings == []
    tables = await dumped(house.database)
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == tables
    for index in gone:
        text = await house.ledger.receipt(index)
        Receipt.parse(text.encode()).check(before[index].content or b"", policy(house))
    assert report(house, await bundle(house)).hidden == len(gone)


async def test_a_body_that_is_missing_and_that_no_entry_names_is_a_finding(house: InProcess, tmp_path: Path) -> None:
    await lived(house)
    (commit,) = [one for one in await forgetting(house).find(ADA) if one.kind == "fact"]
    others = [one for one in await house.entries("fact") if one.ledger_index != commit.ledger_index]
    await forgetting(house).remove([commit], reason="request 7")
    await house.database.write(PRUNE_ENTRY.bind([{"ledger_index": others[0].ledger_index}]))
    findings = [str(one) for one in (await checked(house, tmp_path)).findings]
    expected = f"entry {others[0].ledger_index}: its body is missing, and no entry records that fact was pruned"
    assert expected in findings


async def test_the_commit_is_unknown_because_it_was_removed_now_and_then(house: InProcess) -> None:
    await lived(house)
    then = to_instant(house.clock())
    house.clock.advance(60)
    assert (await house.lineage()).link("commit").state == "asserted"
    await forget(house)
    for link in ((await house.lineage()).link("commit"), (await house.lineage(known_at=then)).link("commit")):
        assert (link.state, "author" in (link.value or {})) == ("unknown", False)
        assert "its body was removed from the ledger (entry " in (link.reason or "")
        assert (link.reason or "").endswith(": request 7")


async def test_a_removed_commit_is_not_collected_again(house: InProcess) -> None:
    await lived(house)
    await forget(house)
    size = await house.reader.size()
    recorder = FactRecorder(ledger=house.ledger, collectors={"commit": CommitCollector(house.sources)}, now=house.clock)
    finding = await recorder.collect("commit", f"git.example.org/demo/greeter@{COMMIT}", "shared")
    assert (finding.outcome, finding.value) == ("absent", {})
    assert await house.reader.size() == size


async def test_what_is_needed_now_stays_with_what_to_do_first(house: InProcess) -> None:
    await read_members(house, "ada")
    ada = Caller(name="ada", teams=None)
    await house.applications.write("greeter", {"team_id": "hello", "name": "Greeter", "active": True}, ada)
    await house.register(incident_contact="ada@example.org")
    found = await forget(house)
    assert outline(found) == [
        (
            "team-members", "pay by file",
            "it is the newest list of its source: remove the person there, and run this again after its next reading",
        ),
        ("application", "greeter, revision 1", "it states when and by whom the application was registered"),
        (
            "application", "greeter, revision 2",
            "it is the newest revision: have somebody else save it without the name, and run this again",
        ),
    ]  # fmt: skip
    assert await house.entries("pruned") == []
    ada = Caller(name="ada", teams=frozenset({"hello"}))
    await house.handovers.offer("greeter", "other", "", ada)
    (offer,) = [one for one in outline(await forget(house)) if one[0] == "handover"]
    assert offer == ("handover", "greeter, offered", "who handed an application over, and who accepted it, is evidence")
    await read_members(house)
    assert next(one.kept for one in await forget(house)) == ""


async def test_changes_of_removed_revisions_are_not_shown_as_the_next_ones_authors(house: InProcess) -> None:
    bob = Caller(name="bob", teams=frozenset({"hello"}))
    await house.register()
    for name, caller in (("By Ada", Caller(name="ada", teams=frozenset({"hello"}))), ("By Bob", bob), ("Bob's", bob)):
        written = {"team_id": "hello", "name": name, "active": True, "subtitle": "Ada's" if caller != bob else None}
        await house.applications.replace("greeter", written, caller, conditions=UNCONDITIONAL)
    before, _ = await house.application_history.page("greeter", at=None, after="", limit=10)
    assert [(one["revision"], one["removed_before"]) for one in before] == [(4, 0), (3, 0), (2, 0), (1, 0)]
    await forget(house)
    after, _ = await house.application_history.page("greeter", at=None, after="", limit=10)
    assert [(one["revision"], one["recorded_by"], one["removed_before"]) for one in after] == [
        (4, "bob", 0), (3, "bob", 1), (1, "root", 0),
    ]  # fmt: skip
    assert [
        one["revision"] for one in (await house.application_history.page("greeter", at=None, after="3", limit=1))[0]
    ] == [1]


async def test_what_an_instance_signed_stays_even_where_it_is_named(house: InProcess) -> None:
    await lived(house)
    (statement, *_) = await house.entries("statement")
    found = await forgetting(house).find(Persons([]), [statement.ledger_index])
    assert outline(found) == [("statement", "", "an instance signed it: what others signed is not removed")]
    assert await forgetting(house).remove(found, reason="request 7") == 0


async def test_entries_are_found_by_index_and_one_that_is_not_there_is_refused(house: InProcess) -> None:
    await lived(house)
    (commit,) = [one for one in await forgetting(house).find(ADA) if one.kind == "fact"]
    assert outline(await forgetting(house).find(Persons([]), [commit.ledger_index])) == outline([commit])
    with pytest.raises(NotFound, match="the log has no entry 99999"):
        await forgetting(house).find(Persons([]), [99_999])


async def test_the_archives_copies_go_first_and_nothing_goes_where_it_cannot_be_written(house: InProcess) -> None:
    await lived(house)
    archive = MemoryArchive()
    contents = [one.content or b"" for one in await house.entries()]
    archive.bundles[0] = contents + [b"{}"] * (256 - len(contents))
    archive.away = True
    with pytest.raises(StorageUnavailable):
        await forget(house, archive)
    assert await house.entries("pruned") == []
    archive.away = False
    gone = [one.ledger_index for one in await forget(house, archive)]
    assert [index for index, one in enumerate(archive.bundles[0]) if not one] == gone
    house.ledger.reader.archive = archive
    assert [one.ledger_index for one in await house.entries() if one.content is None] == gone


async def test_retention_still_archives_a_bundle_with_removed_bodies(house: InProcess) -> None:
    await lived(house)
    gone = [one.ledger_index for one in await forget(house)]
    machine = await house.machine("i-00000000000000002")
    for _ in range(150):
        house.clock.advance(3600)
        await house.say(machine, observed_at=to_instant(house.clock()))
    archive = MemoryArchive()
    retention = Retention(
        database=house.database, ledger=house.ledger, archive=archive, days={"statement": 1}, now=house.clock
    )
    await retention.prune("statement")
    assert [index for index, one in enumerate(archive.bundles[0]) if not one] == gone


async def test_many_entries_are_stated_in_entries_of_a_bounded_size(house: InProcess, tmp_path: Path) -> None:
    for number in range(REMOVED_AT_ONCE_MAX + 6):
        await read_members(house, "ada", f"m{number}")
    await read_members(house, "bob")
    await forget(house)
    stated = [kind_of(one.content or b"")[1]["bodies"] for one in await house.entries("pruned")]
    assert stated == [REMOVED_AT_ONCE_MAX, 6]
    assert (await checked(house, tmp_path)).findings == []


@pytest.mark.parametrize(
    "text, names",
    [
        ("Ada Lovelace <ada@example.org>", True), ("Signed-off-by: x <ADA@EXAMPLE.ORG>.", True), ("ada", True),
        ("by ada.", True), ("adam", False), ("canada", False), ("ada.b", False), ("ada-2", False),
        ("xada@example.org", False), ("ada@example.org.uk", False), ("", False),
    ],
)  # fmt: skip
def test_a_person_is_named_by_a_word_of_its_own(text: str, names: bool) -> None:
    assert ADA.named_in(text) is names


@pytest.mark.parametrize("text", ["a", "x" * 201, "a\nb", ""])
def test_a_text_that_would_name_everybody_or_nobody_is_refused(text: str) -> None:
    with pytest.raises(PersonUnusable):
        Persons([text])


# --- reviews, tickets and signatures

SUBJECT = f"git.example.org/demo/greeter@{COMMIT}"
TICKET = "jira.example.org/PAY-7"


class StatedFacts:
    """A source whose answers a test sets."""

    def __init__(self) -> None:
        self.answers: dict[str, CollectedFact] = {}

    async def collect(self, subject: str) -> CollectedFact:
        return self.answers[subject]


def review(author: str, approver: str) -> CollectedFact:
    found = Review(
        number=12, url="https://git.example.org/demo/greeter/pull/12", title="Greet PAY-7", text="", branch="greet",
        base="main", head="1" * 40, author=author, author_bot=False, merged_at="", merged_by="bob",
        merge_commit=COMMIT, how="merge_commit",
        votes=(Vote(by=approver, state="approved", commit="1" * 40, official=True),),
    )  # fmt: skip
    return CollectedFact(outcome="found", value={"reviews": [found.to_wire()]})


def ticket(assignee: str) -> CollectedFact:
    found = Ticket(id="PAY-7", project="PAY", title="Greet", status="Open", assignee=assignee, closed=False)
    return CollectedFact(outcome="found", value=found.to_wire())


def signature(signer: str) -> CollectedFact:
    value = {"state": "good", "form": "ssh", "signer": signer, "key": "SHA256:x"}
    return CollectedFact(outcome="found", value=value)


async def tracked(house: InProcess) -> tuple[FactRecorder, StatedFacts]:
    """Ada wrote a review, is assigned a ticket, and signed the commit; Bob wrote the commit."""
    await lived(house)
    source = StatedFacts()
    collectors = dict.fromkeys(("review", "ticket", "commit-signature"), source)
    recorder = FactRecorder(ledger=house.ledger, collectors=collectors, now=house.clock)
    for kind, subject, answer in (
        ("review", SUBJECT, review("ada", "bob")), ("ticket", TICKET, ticket("ada")),
        ("commit-signature", SUBJECT, signature("ada@example.org")),
    ):  # fmt: skip
        source.answers[subject] = answer
        await recorder.collect(kind, subject, "shared")
    return recorder, source


async def test_reviews_tickets_and_signatures_that_name_a_person_are_removed_with_their_rows(
    house: InProcess, tmp_path: Path
) -> None:
    await tracked(house)
    row = {"resource": "r", "etag": "e", "next": "", "kept_at": 1, "body": b"ada"}
    await house.database.write(KEEP_ANSWER.bind([row]))  # type: ignore[list-item]  # a row of the query's parameters
    found = await forget(house)
    assert [one.about for one in found if one.kind == "fact" and not one.kept] == [
        f"commit {SUBJECT}", f"review {SUBJECT}", f"ticket {TICKET}", f"commit-signature {SUBJECT}",
    ]  # fmt: skip
    assert await house.database.fetch(KEPT_ANSWER.bind({"resource": "r"})) == []
    tables = await dumped(house.database)
    assert not re.search(r"\bada\b", str(tables), re.IGNORECASE)
    assert (await checked(house, tmp_path)).findings == []
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == tables


async def test_what_names_nobody_keeps_its_rows_when_the_review_beside_it_goes(
    house: InProcess, tmp_path: Path
) -> None:
    await tracked(house)
    one = [found for found in await forgetting(house).find(ADA) if found.about == f"review {SUBJECT}"]
    await forgetting(house).remove(one, reason="request 7")
    tables = await dumped(house.database)
    assert "DEMO-7" in str(tables)
    await rebuild(house.database, house.reader)
    assert await dumped(house.database) == tables


@pytest.mark.parametrize(("kind", "subject"), [("review", SUBJECT), ("ticket", TICKET), ("commit-signature", SUBJECT)])
async def test_a_removed_review_ticket_or_signature_is_read_again_and_names_who_its_source_names(
    house: InProcess, kind: str, subject: str
) -> None:
    recorder, source = await tracked(house)
    await forget(house)
    (row,) = await house.database.fetch(FACTS_NOW.bind({"kind": kind, "subjects": array([subject])}))
    assert (row["outcome"], REMOVED in row["value"]) == ("unknown", True)
    house.clock.advance(60)
    source.answers = {SUBJECT: review("eve", "bob") if kind == "review" else signature("eve"), TICKET: ticket("eve")}
    assert (await recorder.collect(kind, subject, "shared")).outcome == "found"
    assert not re.search(r"\bada\b", str(await dumped(house.database)), re.IGNORECASE)


async def test_a_commit_of_another_spelling_is_the_commit_that_was_removed(house: InProcess) -> None:
    await house.register()
    source = StatedFacts()
    recorder = FactRecorder(ledger=house.ledger, collectors={"commit": source}, now=house.clock)
    value = {
        "repository": "github.com/demo/greeter", "commit": COMMIT, "author": "Ada <ada@example.org>", "subject": "",
        "message": "greet", "committed_at": "2026-11-22T12:00:00.000Z", "signature_form": "none",
    }  # fmt: skip
    for subject in (f"github.com/Demo/Greeter@{COMMIT}", f"github.com/demo/greeter@{COMMIT}"):
        source.answers[subject] = CollectedFact(outcome="found", value=value)
    await recorder.collect("commit", f"github.com/Demo/Greeter@{COMMIT}", "shared")
    await forget(house)
    again = await recorder.collect("commit", f"github.com/demo/greeter@{COMMIT}", "shared")
    assert again.outcome == "absent"
    assert not re.search(r"\bada\b", str(await dumped(house.database)), re.IGNORECASE)
