"""The documented evidence that rules judge: one document for each subject. Pure.

A member that is absent, or null, is not known. What a source answered to be empty is empty, and not absent.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from whence_aggregator.compliance.rule_settings import NO_RULE_SETTINGS, RuleSettings
from whence_aggregator.trace.credentials import CredentialName
from whence_aggregator.trace.facts import AnswerOutcome
from whence_aggregator.trace.life import Life
from whence_aggregator.trace.lineage import LinkName, LinkState
from whence_common.repositories import Comparison

SubjectOfRule = Literal["instance", "version", "application", "ami", "account"]
SUBJECTS_OF_RULES: tuple[SubjectOfRule, ...] = ("instance", "version", "application", "ami", "account")
ClockByHeartbeats = Literal["not heard", "right", "ahead", "behind", "late"]
UserDataPresence = Literal["read", "absent", "unreadable"]
ReadingOutcome = Literal["read", "failed", "waiting"]
ScanOutcome = Literal["pass", "fail", "unknown"]
EventsOutcome = Literal["read", "failed", "never", "not configured"]


class LinkOfEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the lineage: its state, and why it is a gap."""

    state: LinkState
    reason: str = ""


class StatedProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of user data that the agent found."""

    code: str
    severity: str = "error"
    message: str = ""


class StatedDrift(msgspec.Struct, frozen=True, kw_only=True):
    """A deviation from user data. `detail` is the image where the agent states nothing else."""

    kind: str
    container: str
    detail: str = ""
    first_at: str = ""


class StatedMachine(msgspec.Struct, frozen=True, kw_only=True):
    """The newest statement of the machine's agent, and the identity that AWS signed at its enrolment."""

    cause: str = "boot"
    runs: bool = True
    """Whether a container of the application was started."""
    observed_at: str = ""
    recorded_at: str = ""
    launched_at: str = ""
    """By the statement."""
    proved_launch_at: str = ""
    """By the identity document of the enrolment."""
    account_id: str = ""
    region: str = ""
    proved_account_id: str = ""
    proved_region: str = ""
    counts_heartbeats: bool = True
    """Whether its heartbeats have a counter: others are not accepted."""
    user_data: UserDataPresence = "read"
    user_data_digest: str = ""
    application_id: str = ""
    application_version: str = ""
    source: str = ""
    """The image that user data names."""
    token_source: str = ""
    """By user data, where it names tokens: how they are obtained; empty: not stated."""
    masked: tuple[str, ...] = ()
    """Keys of user data whose values may be secret; whether they are references is not stated."""
    problems: tuple[StatedProblem, ...] = ()
    drift: tuple[StatedDrift, ...] = ()


class HeardAgent(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard of the agent by heartbeats, which are not in the log."""

    last_seen: str = ""
    """Empty: never."""
    clock: ClockByHeartbeats = "not heard"
    """`late`: behind, or one heartbeat was delayed."""
    skew_seconds: float = 0.0
    silent_after_seconds: float = 300.0
    listening_since: str = ""


class ListedByCloud(msgspec.Struct, frozen=True, kw_only=True):
    """The instance as the EC2 API lists it, compared with the statement."""

    listed_at: str = ""
    """When the last complete listing began; empty: the account and region were never listed, or are not now."""
    unread: str = ""
    """Why the newest listings failed; then nothing else is known."""
    state: str = ""
    asked_at: str = ""
    launched_at: str = ""
    user_data_digest: str = ""
    user_data_unread: str = ""
    difference: str = ""
    """How the two differ, where they do."""
    same_launch: bool = True
    next_start: bool = False
    """Whether the user data may be that of the next start."""
    key_name: str | None = None
    """Empty: the instance has no key pair."""
    imds_tokens: str | None = None
    """`required`: only version 2 of the metadata service answers."""
    secrets: tuple[str, ...] | None = None
    """Paths of secrets in plain text in the user data that the EC2 API returns."""
    doubtful: tuple[str, ...] | None = None
    """Paths of values there that may be secrets."""


class UsedAmi(msgspec.Struct, frozen=True, kw_only=True):
    """The AMI as DescribeImages returns it. `missing`: AWS does not show it to the account."""

    outcome: AnswerOutcome = "found"
    reason: str = ""
    name: str | None = None
    owner: str | None = None
    state: str | None = None
    created_at: str | None = None
    deprecated_at: str | None = None
    """Empty: it has no deprecation time."""
    expires_at: str | None = None
    """The tag `ExpirationTime`; empty: it has none."""
    was_seen: bool | None = None
    """Whether AWS showed it before."""


class ContentOfAmi(msgspec.Struct, frozen=True, kw_only=True):
    """What the AMI consists of, by the signed statements that name it, and by its tag in the EC2 API.

    `confirmed`: one statement of a trusted builder names it. `asserted`: its builder is not trusted, or EC2 alone
    leads to it, by the tag or by the source of a copy. `missing`: none is recorded. `unknown`: EC2's API was not read.
    """

    state: LinkState
    reason: str = ""
    digest: str = ""
    """Of the statement; empty: none or several are stated."""
    builder: str | None = None
    """Id of the trusted builder that signed it, where it is confirmed."""
    built_at: str | None = None
    """When it was built, where that is confirmed."""


class ImageOfMachine(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent states of its machine's image, by the file that the build put there."""

    statement_digest: str = ""
    differing: int | None = None
    """How many Debian packages differ from the image's."""
    packages: tuple[str, ...] = ()
    """Names of the first of them."""
    unread: str = ""
    """Why the packages were not read."""


class ImageInRegistry(msgspec.Struct, frozen=True, kw_only=True):
    """The image that runs, as its registry has it. `absent`: the registry does not have it."""

    repository: str = ""
    digest: str = ""
    outcome: AnswerOutcome = "found"
    reason: str = ""
    created_at: str | None = None
    signed_by: str | None = None
    """Id of the trusted key that signed it; empty: none did."""
    signatures: int | None = None
    """How many signatures it has, by whomever."""
    sboms: int | None = None
    """How many SBOMs the registry lists for it."""


class BuildOfImage(msgspec.Struct, frozen=True, kw_only=True):
    """The provenance of the image."""

    builder: str | None = None
    """Id of the trusted builder that signed it; empty: none did."""
    other_subjects: bool | None = None
    """Whether a provenance beside the image is about other digests only."""
    contradiction: str | None = None
    """How the provenance contradicts the image's own scm-source; empty: it does not."""


class SourceOfImage(msgspec.Struct, frozen=True, kw_only=True):
    """The source that the image was built from, and how its repository compares with the registered ones."""

    stated: bool = True
    """Whether anything states a source."""
    url: str = ""
    revision: str = ""
    host: str = ""
    path: str = ""
    dirty: bool | None = None
    registered: str = ""
    """The closest registered repository; empty: none is registered."""
    comparison: Comparison | None = None


class CommitOfImage(msgspec.Struct, frozen=True, kw_only=True):
    """The commit by its Git server."""

    outcome: AnswerOutcome = "found"
    reason: str = ""
    reachable: bool | None = None
    """Whether the default branch reaches it."""
    branch_reason: str = ""
    rewritten: str | None = None
    """How its history was rewritten; empty: it was not."""
    signature: str | None = None
    """`good`, `bad`, `unknown key`, `none`; absent: not read or not verified."""
    signature_reason: str = ""


class TicketOfCommit(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket that the commit or its review names."""

    id: str
    state: LinkState = "confirmed"
    problem: str = ""
    reason: str = ""
    approved: bool | None = None
    """Whether its status counts as approved; absent: no states are configured, or it was not read."""


class StatedByScanners(msgspec.Struct, frozen=True, kw_only=True):
    """What the findings of scanners state of the image, taken together. `reason` names the faults, or the gap."""

    outcome: ScanOutcome
    reason: str = ""


class ScansOfImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image by the findings of scanners about its digest, or about the index that it was chosen from."""

    vulnerabilities: StatedByScanners | None = None
    base_image: StatedByScanners | None = None


class RegisteredApplication(msgspec.Struct, frozen=True, kw_only=True):
    """The application in the application registry."""

    registered: bool = True
    active: bool = True
    team_id: str = ""
    criticality_level: int = 0
    """0: not stated."""
    incident_contact: str = ""
    specification_url: str = ""
    uses_tickets: bool = False


class CredentialInUse(msgspec.Struct, frozen=True, kw_only=True):
    """The current generation of a credential: the one that mint committed last."""

    kind: CredentialName
    generation: str
    intended_at: str = ""
    committed_at: str = ""
    is_read: bool = False
    """Whether any instance has stated it."""
    has_secret: bool = True
    """Whether there is anything to rotate: a client that is not confidential has an id alone."""
    is_tampered: bool = False
    """Whether mint found a bucket that does not hold what it wrote."""
    follows_tampered: bool = False
    """Whether mint found that of a generation before it, which has not ended."""


class MintedForApplication(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials that mint makes for the application."""

    current: tuple[CredentialInUse, ...] = ()
    kinds: tuple[CredentialName, ...] = ()
    """Empty: mint makes none for it."""
    has_readers: bool = False
    """Whether a running instance is heard, and has stated for some minutes which objects it holds."""
    restored_at: str = ""
    """When mint first ran on a database that was restored from a backup; empty: it was not."""


class HeldByInstance(msgspec.Struct, frozen=True, kw_only=True):
    """An object of the mint bucket that the agent states, and what mint knows of it."""

    kind: CredentialName
    generation: str = ""
    version_id: str = ""
    since: str = ""
    """The time of the first statement of the same object."""
    is_minted: bool = False
    """Whether mint made a generation of this id."""
    is_written: bool | None = None
    """Whether mint wrote this version; absent: the agent states none, or mint has not recorded all yet."""
    intended_at: str = ""
    """When mint began to make it."""


class DriftOfAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in the account from its declared configuration, by the newest plan. `waiting`: not planned yet."""

    outcome: ReadingOutcome = "read"
    reason: str = ""
    """Why the newest plan failed, or what differs."""
    changes: int = 0
    unread: tuple[str, ...] = ()
    """Parts that could not be read, with the reason."""
    configuration: str = ""
    """Digest of the configuration's bytes."""


class AccountOfOrganisation(msgspec.Struct, frozen=True, kw_only=True):
    """An account of the organisation, and whether its instances may enrol and are listed."""

    status: str = ""
    allowed: bool = True
    listed: bool | None = None
    """Whether a listing of one of its regions was complete."""
    reason: str = ""
    events: EventsOutcome | None = None
    """Whether its events of CloudTrail are read; `never`: no log file of it was."""
    events_failing: str = ""
    """The regions whose newest log file could not be read."""
    drift: DriftOfAccount | None = None
    """Absent where the declared configuration does not state the account."""


class ReadOfSource(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest reading of a source about this subject ended. `waiting`: it was not asked yet."""

    source: str
    outcome: ReadingOutcome = "read"
    reason: str = ""
    due_at: str = ""
    """When it is read again; empty: it does not change, or it is listed with all others of its account."""


class SubjectEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one subject at one moment."""

    kind: SubjectOfRule = "instance"
    id: str = ""
    now: str = ""
    settings: RuleSettings = NO_RULE_SETTINGS
    links: dict[LinkName, LinkOfEvidence] = {}
    life: Life = "unknown"
    life_since: str = ""
    machine: StatedMachine | None = None
    heard: HeardAgent | None = None
    cloud: ListedByCloud | None = None
    ami: UsedAmi | None = None
    ami_content: ContentOfAmi | None = None
    machine_image: ImageOfMachine | None = None
    """Absent where the agent does not state an image."""
    image: ImageInRegistry | None = None
    build: BuildOfImage | None = None
    scans: ScansOfImage | None = None
    source: SourceOfImage | None = None
    commit: CommitOfImage | None = None
    tickets: tuple[TicketOfCommit, ...] | None = None
    application: RegisteredApplication | None = None
    minted: MintedForApplication | None = None
    held: tuple[HeldByInstance, ...] | None = None
    """Absent where the agent does not state objects."""
    account: AccountOfOrganisation | None = None
    reads: tuple[ReadOfSource, ...] | None = None
