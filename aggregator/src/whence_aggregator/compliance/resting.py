"""What verdicts rest on: entries of the log; what is not logged becomes an entry beside the verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whence_aggregator.compliance.evidence import (
    AccountOfOrganisation,
    ContentOfAmi,
    HeardAgent,
    HeldByInstance,
    LinkOfEvidence,
    MintedForApplication,
    ReadOfSource,
    SubjectEvidence,
)
from whence_aggregator.compliance.readings import other_reviews
from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.lineage import Lineage, LinkName
from whence_common.digest import sha256_digest

ANSWERS = ("image_source", "commit", "branch", "signature", "review", "ami")
"""The members of facts that collectors answer."""
UNLOGGED_LINKS: tuple[LinkName, ...] = ("account", "team", "approval")
"""Links that rest on people and on readings, which are not in the log. `ami` does where the AMI has a statement: which
builders are trusted is a setting."""


class Unlogged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was known about a subject, and is in no other entry."""

    heard: HeardAgent | None = None
    listed_at: str = ""
    unread: str = ""
    """Why the newest listings failed."""
    life: str = ""
    life_since: str = ""
    links: dict[LinkName, LinkOfEvidence] = {}
    answers: dict[str, dict[str, str]] = {}
    """By the member of the facts: reasons why a source was not read, and when it is read again."""
    tickets: dict[str, dict[str, str]] = {}
    other_reviews: ReadOfSource | None = None
    """How the reviews of the version's other commits were read: the approvals by them are in `links`."""
    tag: list[tuple[str, str, int]] = []
    """Digest, source and entry of each sighting of the image's tag."""
    tag_in_front: bool = False
    account: AccountOfOrganisation | None = None
    """The account by the settings and the listings, for subjects that are accounts."""
    minted: MintedForApplication | None = None
    """What mint made for the application: whether it was read depends on all of its instances."""
    held: tuple[HeldByInstance, ...] | None = None
    ami_content: ContentOfAmi | None = None
    """What is stated of the AMI's content, if anything is: which builders are trusted is a setting."""
    more_images: bool = False
    """Whether a version runs as more images than are judged, so that it does not pass by these."""
    broken_rules: dict[str, str] = {}
    """Rules that users wrote that could not be evaluated, and why."""


def unlogged_of(facts: Facts, evidence: SubjectEvidence) -> Unlogged:
    """Return what the log does not state of an instance."""
    answers = {name: _unlogged_answer(getattr(facts, name)) for name in ANSWERS}
    tickets = {name: _unlogged_answer(one) for name, one in facts.tickets.items()}
    stated = bool(facts.ami_statements or facts.ami_stated)
    unlogged: tuple[LinkName, ...] = (*UNLOGGED_LINKS, "ami") if stated else UNLOGGED_LINKS
    return Unlogged(
        heard=evidence.heard,
        listed_at=facts.listed.listed_at,
        unread=facts.listed.unread,
        life=facts.life,
        life_since=facts.life_since,
        links={name: evidence.links[name] for name in unlogged if name in evidence.links},
        answers={name: one for name, one in answers.items() if one},
        tickets={name: one for name, one in tickets.items() if one},
        other_reviews=other_reviews(facts),
        tag=[(one.digest, one.said_by, one.ledger_index) for one in facts.tag.seen],
        tag_in_front=facts.tag.in_front,
        minted=evidence.minted if evidence.minted is not None and evidence.minted.kinds else None,
        held=evidence.held,
        ami_content=evidence.ami_content if stated else None,
    )


def _unlogged_answer(answer: Answer) -> dict[str, str]:
    if answer.ledger_index is None or answer.failed:
        found = {"outcome": answer.outcome, "reason": answer.reason}
        return {**found, "failed": answer.failed} if answer.failed else found
    return {"due_at": answer.due_at} if answer.due_at else {}


def entries_of(facts: Facts, lineage: Lineage, scans: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the indexes of the entries that the evidence of an instance is from. `scans`: those of findings."""
    found: set[int | None] = {*scans}
    found |= {facts.statement.ledger_index, facts.listed.ledger_index, facts.listed.user_data_index}
    found |= {one.ledger_index for one in facts.bindings}
    found |= {getattr(facts, name).ledger_index for name in ANSWERS}
    found |= {one.ledger_index for one in facts.tickets.values()}
    found |= {piece.ledger_index for link in lineage.links for piece in link.evidence}
    found |= {one.named_index for one in facts.ami_statements}
    found |= {facts.application.ledger_index} if facts.application is not None else set()
    found |= {facts.job.ledger_index} if facts.job is not None else set()
    found |= {one.ledger_index for one in facts.tag.seen}
    return tuple(sorted(one for one in found if one is not None))


def digest_of(evidence: SubjectEvidence) -> str:
    """Return the digest of a document, without the time at which it was judged."""
    document = msgspec.structs.replace(evidence, now="")
    return sha256_digest(msgspec.json.encode(document, order="deterministic"))
