"""The stored facts that a lineage is derived from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from whence_aggregator.trace.ami_statement import AmiStatement
from whence_aggregator.trace.approved import Approved
from whence_aggregator.trace.credentials import KnownCredentials
from whence_aggregator.trace.differences import difference
from whence_aggregator.trace.life import Life
from whence_aggregator.trace.owned import Ownership
from whence_aggregator.trace.pushing_job import PushingJob
from whence_aggregator.trace.registered import Tracker
from whence_aggregator.trace.start_event import StartEvent
from whence_aggregator.trace.stored_statement import Binding, ReportedLater, StoredStatement
from whence_aggregator.trace.tags import TagHistory
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers
from whence_common.clock import parse_instant
from whence_common.image_provenance import SourceClaim, choose
from whence_common.repositories import compare
from whence_common.scm_source import ScmSource, same_repository, without_credentials

BRANCH_KIND = "commit-branch"
"""Facts about which protected branches and tags reach a commit: these change, a commit's content does not."""
SIGNATURE_KIND = "commit-signature"
"""Facts about a commit's signature, verified with the keys that were trusted then."""
AMI_KIND = "ami"
"""Facts about AMIs: whose they are, and whether they are deprecated, change."""
ACCOUNT_DRIFT_KIND = "account-drift"
"""Facts about what differs in an account from its declared configuration."""
REVIEW_KIND, TICKET_KIND = "review", "ticket"
"""Facts about the reviews that a commit came in by, and about a ticket in its tracker: both change."""
DATED_KINDS = frozenset((BRANCH_KIND, SIGNATURE_KIND, REVIEW_KIND, TICKET_KIND, AMI_KIND, ACCOUNT_DRIFT_KIND))
"""Kinds of facts that count when they were recorded by the time asked about: their subject changes."""
COMMIT_KIND = "commit"
RANGE_KIND = "commit-range"
"""Facts about the commits between two commits, which do not change."""
LAUNCH_TOLERANCE = timedelta(seconds=20)
"""EC2's launch time and the identity document's pending time of one launch differ by less than this."""
Heard = Literal["speaking", "silent", "never"]
AnswerOutcome = Literal["found", "missing", "absent", "unknown"]


def subject_of_range(repository: object, base: str, head: str) -> str:
    """Return the subject of the question about the commits between two."""
    return f"{repository}@{base}..{head}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryFacts:
    """The instance as the EC2 API lists it.

    `listed_at` is when the last complete listing of its account and region began, empty when there was none. The rest
    is empty when the instance was in no listing; `asked_at` is when the first listing that showed the state began.
    """

    listed_at: str = ""
    unread: str = ""
    """Why the newest listings failed; then the rest is how it was before, and not how it is."""
    state: str = ""
    asked_at: str = ""
    launched_at: str = ""
    user_data_digest: str = ""
    user_data_unread: str = ""
    """Why the API's user data was not read; empty when it was read."""
    user_data: Mapping[str, Any] | None = None
    """The masked document, read only when its digest differs from the statement's."""
    key_name: str | None = None
    """None where the entry does not state it, as old ones; empty: no key pair."""
    imds_tokens: str | None = None
    """`required` or `optional`; None where the entry does not state it."""
    secrets: tuple[str, ...] | None = None
    """Paths of secrets in plain text in the API's user data; None where none were looked for."""
    doubtful: tuple[str, ...] | None = None
    """Paths of values that may be secrets; None as above."""
    ledger_index: int | None = None
    user_data_index: int | None = None
    """The entry with `user_data`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An application in the application registry, as of the time asked about."""

    recorded_at: str
    ledger_index: int
    kio: Mapping[str, Any]
    trackers: tuple[Tracker, ...] = ()
    repositories: tuple[str, ...] = ()
    """All repositories, `scm_url` first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A collector's result: `found` with a value, `missing`, `absent` (the place does not exist), or `unknown`."""

    outcome: AnswerOutcome
    reason: str = ""
    value: Mapping[str, Any] = field(default_factory=dict)
    observed_at: str = ""
    """Since when the source has answered this."""
    ledger_index: int | None = None
    read: str = ""
    """How the newest attempt to read it again ended, and when the next one is due; known only of the present."""
    due_at: str = ""
    """When it is read again; empty when it is not, and of the past."""
    waits: str = ""
    """Of an unknown answer that is read again: its reason without the time of the next attempt."""
    failed: str = ""
    """Why the newest attempts to read a known answer again failed, and since when; empty: they did not."""


class AboutCommit(Protocol):
    """What is known about a commit, its reviews and its tickets: facts of an instance, or of a commit alone."""

    @property
    def application(self) -> Registered | None: ...
    @property
    def commit(self) -> Answer: ...
    @property
    def review(self) -> Answer: ...
    @property
    def tickets(self) -> Mapping[str, Answer]: ...
    @property
    def trackers(self) -> KnownTrackers: ...
    @property
    def parents_at(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardClock:
    """The skew of the machine's clock by the newest heartbeat: its stated time less the time of arrival."""

    skew: timedelta
    confirmed: bool
    """Whether the heartbeats before it, over some time, were late too: no single delay explains that."""


NOT_ASKED = Answer(outcome="unknown", reason="not collected yet")
USER_DATA_NOT_YET = "it was not read yet"
"""Why the user data in the EC2 API is not known of an instance whose turn has not come."""
PUT_OFF = "waits: "
"""The beginning of the reason of a question that was not asked yet, because its team asked much in this hour."""


def _instant(text: str) -> datetime | None:
    """Return an instant that a machine stated; None when it is malformed."""
    try:
        return parse_instant(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything known about one instance at one moment."""

    statement: StoredStatement
    binding: Binding
    application: Registered | None
    image_source: Answer
    commit: Answer
    last_seen: str | None
    heard_clock: HeardClock | None = None
    """None when no heartbeat was accepted, and when a time in the past is asked about."""
    branch: Answer = NOT_ASKED
    """Whether the protected branches reach the commit, as of the time asked about."""
    withheld: str = ""
    """Why texts of the commit, its review and its tickets are not shown: the repository is not the application's."""
    signature: Answer = NOT_ASKED
    """What Git found about the commit's signature, as of the time asked about."""
    trackers: KnownTrackers = NO_TRACKERS
    """The code hosts and trackers in the settings: what is not there is not configured, and not unknown for now."""
    review: Answer = NOT_ASKED
    """The reviews that the commit came in by, as of the time asked about."""
    tickets: Mapping[str, Answer] = field(default_factory=dict)
    """The tickets that commit and review name, by subject, as of the time asked about."""
    bindings: Sequence[Binding] = ()
    """All bindings of the instance, oldest first; `binding` is the one that signed the statement."""
    reported_later: ReportedLater = field(default_factory=ReportedLater)
    late: bool = False
    """Whether nothing was recorded by the time asked about: `statement` is the newest of `reported_later`."""
    listed: InventoryFacts = InventoryFacts()
    start: StartEvent | None = None
    """The newest event that started the instance."""
    life: Life = "unknown"
    life_since: str = ""
    """When the entry that began this life was recorded; empty when there is no such entry."""
    heard: Heard | None = None
    """None when a time in the past is asked about: heartbeats are not in the log."""
    ownership: Ownership = field(default_factory=Ownership)
    """Who owns the account, and which team the application's is."""
    approved: Approved = field(default_factory=Approved)
    """The approvals of the version, as of the time asked about."""
    commit_reviews: Mapping[str, Answer] = field(default_factory=dict)
    """The reviews of the other commits of the version, by subject, as of the time asked about; none if not all are
    read."""
    tag: TagHistory = field(default_factory=TagHistory)
    """The digests that the image's tag was seen to point to."""
    job: PushingJob | None = None
    """None when the image was not pushed to the registry front by a job."""
    credentials: KnownCredentials | None = None
    """None when a time in the past is asked about."""
    ami: Answer = NOT_ASKED
    """The AMI as DescribeImages returns it, as of the time asked about."""
    ami_statements: Sequence[AmiStatement] = ()
    """The signed statements about the AMI."""
    ami_stated: Sequence[AmiStatement] = ()
    """Statements that the agent or the AMI's tag names, and those of the AMI that it was copied from, if none is named
    for the AMI."""
    _claims: list[SourceClaim] | None = field(default=None, init=False, repr=False, compare=False)
    """The claims, once they were asked for: each link of a lineage asks again."""
    _chosen: tuple[SourceClaim | None] | None = field(default=None, init=False, repr=False, compare=False)
    """The claim that counts, once it was asked for."""

    @property
    def parents_at(self) -> str:
        """Return the newest time of the commit's parents; empty where it is not known."""
        return str(self.branch.value.get("parents_at") or "")

    @property
    def same_launch(self) -> bool:
        """Return whether statement and inventory are of one launch: each launch may have its own user data."""
        stated = self.statement.predicate.instance.pending_time or str(self.binding.identity.get("pending_time", ""))
        pending, launched = _instant(stated), _instant(self.listed.launched_at)
        return pending is not None and launched is not None and abs(pending - launched) <= LAUNCH_TOLERANCE

    @property
    def user_data_differs(self) -> bool:
        """Return whether the agent and the EC2 API report different user data of one launch."""
        stated, listed = self.statement.predicate.user_data, self.listed
        if stated is None or not listed.state or not listed.user_data_digest or self.data_of_next_start:
            return False
        return listed.user_data_digest != stated.digest and self.same_launch

    @property
    def difference(self) -> str:
        """Return how the user data of agent and EC2 API differ, as far as the masked documents show it."""
        stated = self.statement.predicate.user_data
        return difference(stated.document if stated is not None else None, self.listed.user_data)

    @property
    def data_of_next_start(self) -> bool:
        """Return whether the EC2 API's user data may be that of the next start: it may change while stopped."""
        return self.listed.state in ("stopping", "stopped")

    @property
    def agent_source(self) -> ScmSource | None:
        """Return the image's scm-source.json as the agent read it; None when it is known to be the base image's."""
        seen = self.statement.predicate.scm_source
        if seen is None or seen.document is None or self.image_source.value.get("inherited"):
            return None
        return ScmSource.from_wire(seen.document)

    @property
    def claims(self) -> list[SourceClaim]:
        """Return the claims about the image's source.

        Labels that may be a base image's and name a repository that is not the application's are left out.
        """
        if self._claims is not None:
            return self._claims
        read = self.agent_source or self.registry_source
        claims = [one for one in self._stated if not self._foreign(one)]
        claims += [SourceClaim(kind="scm-source", source=read)] if read is not None else []
        claims += [self.job.claim] if self.job is not None else []
        object.__setattr__(self, "_claims", claims)  # derived from the other members, which never change
        return claims

    @property
    def source_unknown(self) -> list[str]:
        """Return why the source is unknown and not missing, when no claim counts."""
        unknown = [str(one) for one in self.image_source.value.get("unknown", [])]
        return unknown + [
            f"the {one.kind}s name {one.source.url[:120]}, which is not the application's registered repository, "
            "so they may be the base image's"
            for one in self._stated
            if self._foreign(one)
        ]

    @property
    def _stated(self) -> list[SourceClaim]:
        """Return the claims read from the registry, which recognise base images; else the agent's."""
        if self.image_source.outcome in ("found", "missing"):
            return [SourceClaim.from_wire(one) for one in self.image_source.value.get("claims", [])]
        seen = self.statement.predicate.scm_source
        return [
            SourceClaim(
                kind=one.kind,
                source=ScmSource.from_wire({"url": without_credentials(one.url), "revision": one.revision}),
                maybe_inherited=one.maybe_inherited or one.kind in ("label", "label-schema"),
            )
            for one in (seen.claims or () if seen is not None else ())
        ]

    def _foreign(self, claim: SourceClaim) -> bool:
        registered = self.application.repositories if self.application is not None else ()
        if not (claim.maybe_inherited and registered and claim.source.url):
            return False
        return not any(
            same_repository(claim.source.url, one) or compare(claim.source.url, one) == "same" for one in registered
        )

    @property
    def source(self) -> ScmSource | None:
        """Return the source that counts: a trusted builder's claim first, then the image's own."""
        if self._chosen is None:
            object.__setattr__(self, "_chosen", choose(self.claims)[:1])  # as above
        assert self._chosen is not None
        (chosen,) = self._chosen
        return chosen.source if chosen is not None else None

    @property
    def dirty(self) -> bool:
        """Return whether any claim states uncommitted changes, or the image's own file as the registry has it."""
        read = self.registry_source
        if read is not None and read.dirty and not self.image_source.value.get("inherited"):
            return True
        return any(one.source.dirty for one in self.claims if not one.maybe_inherited or one.source == self.source)

    @property
    def registry_source(self) -> ScmSource | None:
        document = self.image_source.value.get("scm_source")
        return ScmSource.from_wire(document) if isinstance(document, Mapping) else None
