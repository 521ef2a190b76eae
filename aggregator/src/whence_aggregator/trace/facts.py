"""The facts a lineage is derived from, as they were stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.trace.differences import difference
from whence_aggregator.trace.life import Life
from whence_aggregator.trace.pushing_job import PushingJob
from whence_aggregator.trace.tags import TagHistory
from whence_common.clock import parse_instant
from whence_common.digest import sha256_digest
from whence_common.envelope import Envelope
from whence_common.image_provenance import SourceClaim, choose
from whence_common.repositories import compare
from whence_common.scm_source import ScmSource, same_repository, without_credentials
from whence_common.statement import Predicate, Statement

BRANCH_KIND = "commit-branch"
"""Facts about whether the default branch reaches a commit: they change, a commit's content does not."""
LAUNCH_TOLERANCE = timedelta(seconds=20)
"""EC2's launch time and the identity document's pending time of the same launch differ by less."""
Heard = Literal["speaking", "silent", "never"]
AnswerOutcome = Literal["found", "missing", "absent", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRecord:
    """What the row of a statement states beside the statement itself. `observed_at` is by the machine's clock."""

    instance_id: str
    enrolment: int
    observed_at: str
    recorded_at: str
    packed: PackedEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatement:
    """A statement as it stands in the ledger; its signature was verified before it was appended."""

    digest: str
    ledger_index: int
    instance_id: str
    observed_at: str
    """By the machine's clock."""
    recorded_at: str
    enrolment: int
    predicate: Predicate = field(repr=False)

    @classmethod
    def of(cls, record: StatementRecord, content: bytes) -> StoredStatement:
        """Read a statement from its entry's bytes."""
        return cls(
            digest=sha256_digest(content),
            ledger_index=record.packed.ledger_index,
            instance_id=record.instance_id,
            observed_at=record.observed_at,
            recorded_at=record.recorded_at,
            enrolment=record.enrolment,
            predicate=Statement.from_wire(Envelope.parse(content).payload).predicate,
        )

    @property
    def skew_seconds(self) -> float:
        """How far the machine's clock was from the time of recording; below zero also when it was delivered late."""
        return (parse_instant(self.observed_at) - parse_instant(self.recorded_at)).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A statement that was recorded after the time asked about and names a time at or before it."""

    digest: str | None
    """None when its body was pruned."""
    ledger_index: int
    observed_at: str
    recorded_at: str

    @classmethod
    def of(cls, record: StatementRecord, content: bytes | None) -> Later:
        """Name a statement by its entry's bytes, where they are kept."""
        return cls(
            digest=sha256_digest(content) if content is not None else None,
            ledger_index=record.packed.ledger_index,
            observed_at=record.observed_at,
            recorded_at=record.recorded_at,
        )

    def to_wire(self) -> dict[str, object]:
        return {
            "digest": self.digest,
            "ledger_index": self.ledger_index,
            "observed_at": self.observed_at,
            "recorded_at": self.recorded_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLater:
    """What was stated too late about the time asked about: the newest statements, and how many there are in all."""

    total: int = 0
    statements: Sequence[Later] = ()

    def to_wire(self) -> dict[str, object]:
        return {"total": self.total, "statements": [one.to_wire() for one in self.statements]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What the instance's identity document proved when it enrolled."""

    number: int
    level: str
    enrolled_at: str
    ledger_index: int
    identity: Mapping[str, Any]

    @classmethod
    def of(cls, stated: Mapping[str, Any], ledger_index: int) -> Binding:
        """Read an enrolment's entry."""
        return cls(
            number=stated["number"],
            level=stated["level"],
            enrolled_at=stated["enrolled_at"],
            ledger_index=ledger_index,
            identity=stated["instance"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryFacts:
    """What the EC2 API lists of the instance.

    `listed_at` is when the last complete listing of its account and region began, empty when there was none. The rest
    is empty when no listing ever showed the instance; `asked_at` is when the listing began that first showed the state.
    """

    listed_at: str = ""
    state: str = ""
    asked_at: str = ""
    launched_at: str = ""
    user_data_digest: str = ""
    user_data_unread: str = ""
    """Why the API's user data is not known; empty where it was read."""
    user_data: Mapping[str, Any] | None = None
    """The masked document, read only where the digest is not the statement's."""
    ledger_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An application as the registry had it at the time asked about."""

    recorded_at: str
    ledger_index: int
    kio: Mapping[str, Any]
    tickets: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a collector found out: `found` with a value, `missing`, `absent` (not even the place), or `unknown`."""

    outcome: AnswerOutcome
    reason: str = ""
    value: Mapping[str, Any] = field(default_factory=dict)
    observed_at: str = ""
    ledger_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardClock:
    """What the newest heartbeat shows of the machine's clock: its stated time less the time it arrived."""

    skew: timedelta
    confirmed: bool
    """Whether the heartbeats before it, over some time, were as late: no single delay explains that."""


NOT_ASKED = Answer(outcome="unknown", reason="no source was asked yet")


def _instant(text: str) -> datetime | None:
    """Read an instant that a machine stated; None when it is not one."""
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
    """None where no heartbeat was taken, and when a time in the past is asked about."""
    branch: Answer = NOT_ASKED
    """Whether the default branch reaches the commit, as of the time asked about."""
    bindings: Sequence[Binding] = ()
    """All bindings of the instance, oldest first; `binding` is the one that signed the statement."""
    reported_later: ReportedLater = ReportedLater()
    late: bool = False
    """Whether nothing was recorded by the time asked about: `statement` is the newest of `reported_later`."""
    listed: InventoryFacts = InventoryFacts()
    life: Life = "unknown"
    life_since: str = ""
    """When the entry was recorded with which this life began; empty when none moved it."""
    heard: Heard | None = None
    """None when a time in the past is asked about: heartbeats are not in the log."""
    tag: TagHistory = field(default_factory=TagHistory)
    """What the image's tag was ever seen to name."""
    job: PushingJob | None = None
    """None where no job pushed the image to the front."""

    @property
    def same_launch(self) -> bool:
        """Whether statement and inventory are of one launch: each may have user data of its own."""
        stated = self.statement.predicate.instance.pending_time or str(self.binding.identity.get("pending_time", ""))
        pending, launched = _instant(stated), _instant(self.listed.launched_at)
        return pending is not None and launched is not None and abs(pending - launched) <= LAUNCH_TOLERANCE

    @property
    def user_data_differs(self) -> bool:
        """Whether agent and EC2 API have other user data of one launch."""
        stated, listed = self.statement.predicate.user_data, self.listed
        if stated is None or not listed.state or not listed.user_data_digest or self.data_of_next_start:
            return False
        return listed.user_data_digest != stated.digest and self.same_launch

    @property
    def difference(self) -> str:
        """What differs between the user data of agent and EC2 API, as far as the masked documents show it."""
        stated = self.statement.predicate.user_data
        return difference(stated.document if stated is not None else None, self.listed.user_data)

    @property
    def data_of_next_start(self) -> bool:
        """Whether the EC2 API's user data may be that of the next start: it can be changed only while stopped."""
        return self.listed.state in ("stopping", "stopped")

    @property
    def agent_source(self) -> ScmSource | None:
        """The image's scm-source.json as the agent read it; not when it is known to be the base image's."""
        seen = self.statement.predicate.scm_source
        if seen is None or seen.document is None or self.image_source.value.get("inherited"):
            return None
        return ScmSource.from_wire(seen.document)

    @property
    def claims(self) -> list[SourceClaim]:
        """What is stated about the image's source. Labels that may be a base image's and name another repository than

        the application's registered one are left out.
        """
        read = self.agent_source or self.registry_source
        claims = [one for one in self._stated if not self._foreign(one)]
        claims += [SourceClaim(kind="scm-source", source=read)] if read is not None else []
        return claims + ([self.job.claim] if self.job is not None else [])

    @property
    def source_unknown(self) -> list[str]:
        """Why the source is unknown rather than missing, where no claim counts."""
        unknown = [str(one) for one in self.image_source.value.get("unknown", [])]
        return unknown + [
            f"the {one.kind}s name {one.source.url[:120]}, which is not the application's registered repository, "
            "so they may be the base image's"
            for one in self._stated
            if self._foreign(one)
        ]

    @property
    def _stated(self) -> list[SourceClaim]:
        """The registry's reading, which knows base images; the agent's where the registry was not read."""
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
        registered = str((self.application.kio if self.application is not None else {}).get("scm_url") or "")
        named = claim.maybe_inherited and registered and claim.source.url
        if not named or same_repository(claim.source.url, registered):
            return False
        return compare(claim.source.url, registered) != "same"

    @property
    def source(self) -> ScmSource | None:
        """The source that counts: a trusted builder's word first, then what the image says of itself."""
        chosen, _ = choose(self.claims)
        return chosen.source if chosen is not None else None

    @property
    def dirty(self) -> bool:
        """Whether anybody says that the tree held changes that are in no commit."""
        return any(one.source.dirty for one in self.claims if not one.maybe_inherited or one.source == self.source)

    @property
    def registry_source(self) -> ScmSource | None:
        document = self.image_source.value.get("scm_source")
        return ScmSource.from_wire(document) if isinstance(document, Mapping) else None
