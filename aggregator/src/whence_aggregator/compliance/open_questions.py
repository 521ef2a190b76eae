"""The questions about the commits of instances that nobody has answered yet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whence_aggregator.projections.removals import REMOVED
from whence_aggregator.queries.work import AddTaskParameters
from whence_aggregator.trace.facts import BRANCH_KIND, RANGE_KIND, REVIEW_KIND, SIGNATURE_KIND, TICKET_KIND, Facts
from whence_aggregator.trace.named_tickets import review_wanted
from whence_aggregator.work.questions import SHARED_LANE, VERSION_COMMITS_KIND, lane_of_team, question


def open_questions(gathered: Iterable[Facts], now: str) -> list[AddTaskParameters]:
    """Return the questions about branches, signatures, reviews, tickets and versions, each once."""
    wanted: dict[tuple[str, str], str] = {}
    for facts in gathered:
        account = facts.statement.predicate.instance.account_id
        for kind, subject in _of_commit(facts):
            wanted.setdefault((kind, subject), account)
        review = review_wanted(facts)
        if review is not None and facts.review.ledger_index is None:
            _ask(wanted, (REVIEW_KIND, review), _team_lane(facts))
        for ticket, found in facts.tickets.items():
            if found.ledger_index is None:
                _ask(wanted, (TICKET_KIND, ticket), _team_lane(facts))
        wanted |= dict.fromkeys(_about_version(facts), SHARED_LANE)
    return [question(kind, subject, due_at=now, lane=lane) for (kind, subject), lane in wanted.items()]


def _of_commit(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield what follows from a commit that is known: one that a range recorded was never asked about by itself."""
    commit = facts.commit
    if commit.outcome != "found":
        return
    subject = f"{commit.value['repository']}@{commit.value['commit']}"
    if facts.branch.ledger_index is None:
        yield BRANCH_KIND, subject
    if commit.value.get("signature_form", "none") != "none" and facts.signature.ledger_index is None:
        yield SIGNATURE_KIND, subject


def read_again(gathered: Iterable[Facts], now: str) -> list[AddTaskParameters]:
    """Return the questions about reviews and tickets that were answered, and that no task repeats.

    They were read once, as of a commit between two versions, and now an instance runs what was built from it; or their
    bodies were removed, and their source may state them without the person.
    """
    wanted: dict[tuple[str, str], str] = {}
    for facts in gathered:
        review = review_wanted(facts)
        answers = {(TICKET_KIND, one): found for one, found in facts.tickets.items()}
        answers |= {(REVIEW_KIND, review): facts.review} if review is not None else {}
        for one, found in answers.items():
            if (found.outcome == "found" or REMOVED in found.value) and not found.read:
                _ask(wanted, one, _team_lane(facts))
    return [question(kind, subject, due_at=now, lane=lane) for (kind, subject), lane in wanted.items()]


def _ask(wanted: dict[tuple[str, str], str], asked: tuple[str, str], lane: str) -> None:
    """Add a question; what several teams ask is in the lane that they share."""
    wanted[asked] = lane if wanted.get(asked, lane) == lane else SHARED_LANE


def _team_lane(facts: Facts) -> str:
    """Return the lane of the application's team; without one, of the account."""
    team = str(facts.application.kio.get("team_id") or "") if facts.application is not None else ""
    return lane_of_team(team) if team else facts.statement.predicate.instance.account_id


def _about_version(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the questions about the commits that came with the version that runs, where approvals are judged."""
    commits, version = facts.approved.commits, facts.approved.version
    if commits.question is not None and not commits.asked:
        yield RANGE_KIND, commits.question
    if (commits.unsettled or (commits.question is not None and not commits.asked)) and version is not None:
        yield VERSION_COMMITS_KIND, f"{version.application_id}/{version.version}"
