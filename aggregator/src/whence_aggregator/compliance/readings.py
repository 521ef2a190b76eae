"""How each source was read that the evidence of an instance is from: a condition may be about all of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whence_aggregator.compliance.evidence import ReadOfSource
from whence_aggregator.trace.facts import NOT_ASKED, PUT_OFF, USER_DATA_NOT_YET, Answer, Facts

AMI, LISTING, USER_DATA = "the AMI", "the EC2 API", "the user data in the EC2 API"
OF_MACHINE = frozenset((AMI, LISTING, USER_DATA))
"""Sources about the machine, and not about what runs on it."""
OTHER_REVIEWS = "the reviews of the version's other commits"


def readings_of(facts: Facts) -> tuple[ReadOfSource, ...]:
    """Return how each source that this subject needs was read. What depends on an unread answer is not needed yet."""
    found = [*_of_image(facts)]
    found += [_read(f"the ticket {name}", one) for name, one in facts.tickets.items()]
    others = other_reviews(facts)
    found += [others] if others is not None else []
    return (*found, *_of_machine(facts))


def other_reviews(facts: Facts) -> ReadOfSource | None:
    """Return how the reviews of the version's other commits were read: as the one that was read worst."""
    return _worst([_read(OTHER_REVIEWS, one) for one in facts.commit_reviews.values()])


def _of_image(facts: Facts) -> Iterator[ReadOfSource]:
    if facts.statement.predicate.image is None:
        return
    yield _read("the registry", facts.image_source)
    source = facts.source
    if source is None or source.commit_id is None:
        return
    yield _read("the Git server", facts.commit)
    if facts.commit.outcome != "found":
        return
    yield _read("the default branch", facts.branch)
    if facts.commit.value.get("signature_form", "none") != "none":  # as the signature is asked for
        yield _read("the commit's signature", facts.signature)
    host = str(facts.commit.value.get("repository", "")).partition("/")[0]
    if facts.trackers.reads_reviews(host) and not facts.withheld:
        yield _read("the review", facts.review)


def _of_machine(facts: Facts) -> Iterator[ReadOfSource]:
    listed = facts.listed
    if not facts.statement.predicate.instance.account_id:
        return  # of an image that no instance runs
    if facts.binding.identity.get("image_id"):
        yield _read(AMI, facts.ami)
    if listed.unread or not listed.listed_at:
        yield _unread(LISTING, listed.unread, waits=not listed.unread)
        return
    yield ReadOfSource(source=LISTING)
    if listed.user_data_unread:
        yield _unread(USER_DATA, listed.user_data_unread, waits=listed.user_data_unread == USER_DATA_NOT_YET)
    elif listed.state:
        yield ReadOfSource(source=USER_DATA)


def _read(source: str, answer: Answer) -> ReadOfSource:
    if answer.outcome != "unknown":
        return ReadOfSource(source=source, due_at=answer.due_at)
    return _unread(source, answer.reason, waits=answer.reason.startswith((NOT_ASKED.reason, PUT_OFF)))


def _unread(source: str, reason: str, *, waits: bool) -> ReadOfSource:
    return ReadOfSource(source=source, outcome="waiting" if waits else "failed", reason=reason)


def _worst(readings: Iterable[ReadOfSource]) -> ReadOfSource | None:
    """Return a reading that failed, else one that waits, else the one that is due first; None of none."""
    order = ("failed", "waiting", "read")
    return min(readings, key=lambda one: (order.index(one.outcome), one.due_at == "", one.due_at), default=None)
