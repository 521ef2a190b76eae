"""A code host and a tracker that answer by commit and by ticket what a test says; an exception is raised."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.tracker_collectors import ReviewCollector, TicketCollector
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.readers import ReviewFinding, TicketFinding
from whence_aggregator.trackers.review import Review, Vote
from whence_aggregator.trackers.ticket import Ticket

GIT, JIRA = "git.example.org", "jira.example.org"
HEAD = "1" * 40
KNOWN = KnownTrackers(by_host={
    GIT: KnownTracker(shared=True, host=GIT, type="github", reviews=True), JIRA: KnownTracker(shared=True, host=JIRA, type="jira"),
})  # fmt: skip
AWAY = SourceUnavailable("outside-away", "the host is away")


def review(number: int, *, title: str = "Pay", approved_by: str = "") -> ReviewFinding:
    """Return a merged pull request of Ada's; an approval of its head counts."""
    votes = (Vote(by=approved_by, state="approved", commit=HEAD, official=True),) if approved_by else ()
    return ReviewFinding(default_branch="main", reviews=(Review(
        number=number, url=f"https://{GIT}/demo/greeter/pull/{number}", title=title, text="", branch="pay", base="main",
        head=HEAD, author="ada", author_bot=False, merged_at="2026-11-22T11:00:00.000Z", merged_by="ada",
        merge_commit="", how="merge_commit", votes=votes, committers=("ada",),
    ),))  # fmt: skip


def ticket(name: str, title: str = "Pay", status: str = "Open") -> TicketFinding:
    return TicketFinding(
        ticket=Ticket(id=name, project=name.partition("-")[0], title=title, status=status, closed=False)
    )


@dataclass
class CommitVendors:
    """By commit, and by ticket; every other commit was pushed directly, and there is no other ticket."""

    reviewed: dict[str, ReviewFinding | SourceUnavailable] = field(default_factory=dict)
    known: dict[str, TicketFinding | SourceUnavailable] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def collectors(self) -> dict[str, Collector]:
        return {"review": ReviewCollector({GIT: self}), "ticket": TicketCollector({GIT: self, JIRA: self})}

    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        self.asked.append(commit_id)
        found = self.reviewed.get(commit_id, ReviewFinding(none="no-review"))
        if isinstance(found, SourceUnavailable):
            raise found
        return found

    async def ticket(self, ticket_id: str) -> TicketFinding:
        self.asked.append(ticket_id)
        found = self.known.get(ticket_id, TicketFinding(problem="missing", reason=f"there is no {ticket_id}"))
        if isinstance(found, SourceUnavailable):
            raise found
        return found
