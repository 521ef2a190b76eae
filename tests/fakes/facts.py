"""Facts of one instance, as storage returns them: an application that runs, every link there, and what a test changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from fakes.machine import COMMIT, DIGEST, REPOSITORY, scm
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.rule import Verdict
from whence_aggregator.compliance.rule_settings import NO_RULE_SETTINGS, RuleSettings
from whence_aggregator.compliance.rules.catalogue import RULES, judge
from whence_aggregator.organisation.resolving import KnownAccount
from whence_aggregator.organisation.values import ACTIVE
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import Answer, Facts, Registered
from whence_aggregator.trace.lineage import Lineage, Link, LinkName
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.owned import Ownership
from whence_aggregator.trace.registered import Tracker, repositories_of, trackers_of
from whence_aggregator.trace.stored_statement import Binding, StoredStatement
from whence_common.clock import parse_instant
from whence_common.image_provenance import ClaimKind, SourceClaim
from whence_common.scm_source import ScmSource
from whence_common.statement import (
    ApplicationFacts,
    ContainerFacts,
    ImageFacts,
    InstanceFacts,
    Predicate,
    UserDataFacts,
)

AT = "2026-11-22T12:00:00.000Z"
URL = "https://git.example.org/demo/greeter"
OURS, OTHERS = "sha256:" + "a" * 64, "sha256:" + "b" * 64
STATEMENT = "sha256:" + "1" * 64
DOCUMENT = {"url": URL, "revision": COMMIT, "author": "ada", "status": "", "digest": "sha256:" + "5" * 64}
READ = Answer(outcome="found", value={"scm_source": DOCUMENT}, observed_at=AT, ledger_index=3)
FOUND = Answer(
    outcome="found",
    value={"repository": "git.example.org/demo/greeter", "subject": "PAY-7: pay", "author": "Ada <a@b.c>",
           "committed_at": AT, "message": "PAY-7: pay (#3)"},
    observed_at=AT, ledger_index=4,
)  # fmt: skip
IDENTITY = {
    "account_id": "123456789012", "region": "eu-central-1", "instance_type": "t3.micro", "image_id": "ami-1",
    "pending_time": AT, "document_digest": "sha256:" + "9" * 64,
}  # fmt: skip
KIO = {"team_id": "hello", "name": "Greeter", "active": True}
OWNED = Ownership(
    account=KnownAccount(
        account_id="123456789012", name="hello-live", status=ACTIVE, path="", owners={"file": "hello"},
        owner_unread=False, allows=frozenset(), tags={},
    ),
)  # fmt: skip
"""That a source of the organisation states the application's team as the account's owner."""
FAILED: dict[str, Any] = {"cause": "failed", "image": None, "scm_source": None, "containers": []}
"""The changes of a statement about a boot that failed before its image."""


def answer(outcome: Literal["found", "missing", "absent", "unknown"], reason: str = "", **value: object) -> Answer:
    return Answer(outcome=outcome, reason=reason, value=value, observed_at=AT, ledger_index=3)


def claim(kind: ClaimKind, **changes: str) -> SourceClaim:
    """Return what somebody states about the image's source; `b` is the builder that signed provenance."""
    named = {"url": URL, "revision": COMMIT, "author": "", "status": "", "digest": "", **changes}
    return SourceClaim(kind=kind, by="b" if kind == "provenance" else "", source=ScmSource(**named))  # type: ignore[arg-type]  # all text


def said(*claims: SourceClaim, **value: object) -> Answer:
    """Return what the registry's reading of the image found."""
    return Answer(outcome="found", value={"claims": [one.to_wire() for one in claims], **value}, observed_at=AT)


def on(reachable: bool | None = True, *, branch: str | None = "main", reason: str = "") -> Answer:
    """Return whether the default branch reaches the commit."""
    value = {"branch": branch, "head": "f" * 40, "reachable": reachable}
    return Answer(outcome="found" if branch else "missing", value=value, reason=reason, observed_at=AT, ledger_index=5)


def container(digest: str = DIGEST, *, name: str = "taupageapp", declared: str = "") -> ContainerFacts:
    return ContainerFacts(
        name=name, container_id="1", image_digest=digest, state="running", declared_digest=declared
    )  # fmt: skip


def image(**changes: Any) -> ImageFacts:
    return ImageFacts(**{"source": f"{REPOSITORY}:1.0", "repository": REPOSITORY, "digest": DIGEST, **changes})


def predicate(**changes: Any) -> Predicate:
    """Return what the agent states."""
    values: dict[str, Any] = {
        "instance": InstanceFacts(
            account_id="123456789012", region="eu-central-1", instance_id="i-0123456789abcdef0", pending_time=AT
        ),
        "boot_id": "b", "sequence": 1, "cause": "boot", "observed_at": AT, "agent_version": "0.1.0", "heartbeats": 1,
        "user_data": UserDataFacts(digest=OURS, document={"application_id": "greeter"}),
        "application": ApplicationFacts(id="greeter", version="1.0"),
        "image": image(), "containers": [container()], "scm_source": scm(**DOCUMENT), **changes,
    }  # fmt: skip
    return Predicate(**values)


def facts(
    *, stated: dict[str, Any] | None = None, kio: dict[str, Any] | None = None, tickets: dict[str, Any] | None = None,
    repositories: tuple[str, ...] = (), trackers: tuple[Tracker, ...] = (),
    identity: dict[str, Any] | None = None, **changes: Any,
) -> Facts:  # fmt: skip
    """Return the facts with changes: to the statement, the registered application, the identity document, the rest."""
    statement = StoredStatement(
        digest=STATEMENT, ledger_index=2, instance_id="i-0123456789abcdef0", observed_at=AT, recorded_at=AT,
        enrolment=1, predicate=predicate(**(stated or {})),
    )  # fmt: skip
    binding = Binding(
        number=1, level="document", enrolled_at=AT, ledger_index=1, identity={**IDENTITY, **(identity or {})}
    )
    body = {"kio": {**KIO, **(kio or {})}, "tickets": tickets, "repositories": repositories}
    registered = Registered(
        recorded_at=AT, ledger_index=0, kio={**KIO, **(kio or {})}, trackers=trackers or trackers_of(body),
        repositories=repositories_of(body),
    )  # fmt: skip
    values: dict[str, Any] = {
        "statement": statement, "binding": binding, "bindings": (binding,), "application": registered,
        "image_source": READ, "commit": FOUND, "branch": on(), "last_seen": AT, **changes,
    }  # fmt: skip
    return Facts(**values)


def lineage(known: Facts, **options: Any) -> Lineage:
    return derive(known, moment=Moment(at=AT, known_at=AT), **options)


def link(name: LinkName, known: Facts) -> Link:
    return lineage(known).link(name)


def document(
    known: Facts, *, now: datetime | None = None, settings: RuleSettings = NO_RULE_SETTINGS
) -> SubjectEvidence:
    """Return the documented evidence, as evaluation makes it: agents have been listened to for a day."""
    now = now or parse_instant(AT)
    return evidence_of(
        InstanceEvidence(
            facts=known, lineage=lineage(known), now=now, silent_after_seconds=300.0,
            listening_since=now - timedelta(days=1), settings=settings,
        )
    )  # fmt: skip


def verdict(
    rule_id: str, known: Facts, *, now: datetime | None = None, settings: RuleSettings = NO_RULE_SETTINGS
) -> Verdict:
    """Judge by one rule."""
    rule = next(one for one in RULES if one.id == rule_id)
    return judge(rule, document(known, now=now, settings=settings))
