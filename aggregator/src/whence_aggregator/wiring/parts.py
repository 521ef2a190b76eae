"""The parts that programs are wired from: each function builds one object from the settings."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from whence_aggregator.adapters.aws_inventory import AwsInventory
from whence_aggregator.adapters.front_images import FrontImageStores
from whence_aggregator.adapters.log_files import CheckpointFile, load_signers
from whence_aggregator.adapters.registry_images import RegistryImages
from whence_aggregator.adapters.s3_archive import S3Archive
from whence_aggregator.adapters.sts import StsCallers
from whence_aggregator.adapters.verifiers import VerifierProcess
from whence_aggregator.adapters.witness import HttpWitness
from whence_aggregator.agents.heartbeat_secret import check_secret, keep_secret
from whence_aggregator.agents.rows import heard_last
from whence_aggregator.agents.verification import InThisProcess, Verifier
from whence_aggregator.callers.trusted_proxies import TrustedProxies
from whence_aggregator.collect.collectors import (
    Collector,
    ImageSourceCollector,
    TagCollector,
)
from whence_aggregator.collect.image_reader import KnownBaseImages, RegistryImageReader
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.collect.measured import Questions
from whence_aggregator.findings.ageing import FindingsRemoved
from whence_aggregator.ledger.continuity import CHAPTER, StartRefused, check_start, checkpoint_of
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ledger.retention import Retention
from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.organisation.changes import MEMBERS
from whence_aggregator.organisation.erasure import MembersRemoved
from whence_aggregator.ports import Database, ImageStore, StorageUnavailable
from whence_aggregator.projections.findings import FINDINGS
from whence_aggregator.projections.kinds import KINDS
from whence_aggregator.queries.agents import HEARD_LAST
from whence_aggregator.settings.server import Settings, accounts_named, log_origin
from whence_aggregator.storage.measured import MeasuredDatabase
from whence_aggregator.storage.named_queries import OpenMode
from whence_aggregator.storage.postgres import CONNECTIONS_MAX, PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.lineage import CHOSEN_LINKS, REQUIRED_LINKS
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trackers.protection import ProtectionReader
from whence_aggregator.wiring.git import git_collectors, load_git
from whence_aggregator.wiring.outgoing import Outgoing, git_logins, load_sessions
from whence_aggregator.wiring.replicas import copy_checkpoint
from whence_aggregator.wiring.settings_files import load_secret, load_trust
from whence_common.clock import from_millis, parse_instant, utc_now
from whence_common.identity_document import Authorities
from whence_common.image_reference import registry_name
from whence_common.log_policy import wrong_witnesses
from whence_common.note import VerifierKey
from whence_common.runtime.logs import fields
from whence_common.settings_file import SettingsInvalid

log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024


async def open_database(
    location: str, mode: OpenMode = "make", *, connections_max: int = CONNECTIONS_MAX
) -> SqliteDatabase | PostgresDatabase:
    """Open a database by its URL; read-only commands open it with `read`. Raises StorageUnavailable."""
    if location.startswith("sqlite://"):
        path = Path("/" + location.removeprefix("sqlite://").lstrip("/"))
        return await SqliteDatabase.open(path, mode)
    return await PostgresDatabase.open(location, mode, connections_max=connections_max)


async def open_measured(settings: Settings, location: str | None, stack: AsyncExitStack) -> MeasuredDatabase:
    """Open the database of a program that serves, and close it with the stack. Raises StorageUnavailable."""
    database = MeasuredDatabase(await open_at_start(settings, location or settings.database))
    stack.push_async_callback(database.close)
    return database


NO_LEDGER = ("database-missing", "database-empty")


async def open_at_start(settings: Settings, location: str) -> SqliteDatabase | PostgresDatabase:
    """Open the database of a server; create it only if nothing was ever signed here. Raises WhenceError."""
    mode: OpenMode = "migrate" if _signed_size(settings) else "make"
    try:
        return await open_database(location, mode, connections_max=settings.database_connections_max)
    except StorageUnavailable as exc:
        if exc.code in NO_LEDGER:
            refuse_new_ledger(settings, exc)
        raise


def refuse_new_ledger(settings: Settings, exc: StorageUnavailable) -> None:
    """Raise StartRefused if the database is missing but a checkpoint of its entries exists."""
    size = _signed_size(settings)
    if size:
        raise StartRefused(
            "ledger-missing",
            f"{exc.message}, but a checkpoint over {size} entries was signed ({settings.checkpoint_file}): nothing was"
            " created",
            fix="correct `database`, or restore it; if all of it is lost: whence-aggregator migrate creates an empty"
            f" one, then run ledger continue; {CHAPTER}",
        ) from exc


def _signed_size(settings: Settings) -> int:
    """Return the number of signed entries, by the checkpoint file of `serve` or of the front on this machine."""
    files = (CheckpointFile(Path(f"{settings.checkpoint_file}{suffix}")) for suffix in ("", ".registry"))
    return max(checkpoint_of(note).size if (note := file.load()) is not None else 0 for file in files)


def new_session() -> aiohttp.ClientSession:
    """Return the session of all outgoing HTTP: it ignores the environment's proxies and does not decompress."""
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class NewestLog:
    """The log, as tracing reads it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def content(self, entry: PackedEntry) -> bytes:
        return self._ledger.reader.content(entry)

    async def content_of(self, entry: PackedEntry) -> bytes | None:
        return await self._ledger.reader.content_of(entry)

    @property
    def note(self) -> str:
        return self._ledger.note


async def start_ledger(
    settings: Settings,
    database: Database,
    stack: AsyncExitStack,
    *,
    witnesses: Sequence[HttpWitness] = (),
    beside: Path | None = None,
) -> Ledger:
    """Build the log and start it, if it is the one that was signed. Raises WhenceError.

    `beside`: the checkpoint file of a program that serves the same log on this machine, for a first start.
    """
    keeper, reader = CheckpointFile(Path(settings.checkpoint_file)), load_reader(settings, database)
    origin, file = log_origin(settings), Path(settings.log_key_file)
    stack.callback(keeper.close)
    if keeper.load() is None and beside is not None and (other := CheckpointFile(beside).load()) is not None:
        keeper.keep(other)
    keeper.close()
    begun = await reader.size() > 0
    if begun and not file.exists():  # noqa: ASYNC240 - at the start
        await check_start(reader=reader, keeper=keeper, origin=origin, keys=(), witnesses=())  # names its keys
    signers = load_signers(file, name=origin, made=not begun)
    ledger = Ledger(database=database, reader=reader, kinds=KINDS, signers=signers, keeper=keeper, now=utc_now)
    check_witnesses([VerifierKey.parse(one) for one in ledger.keys], [one.key for one in witnesses])
    if begun:
        async with new_session() as session:
            verifiers = [one.verifier for one in signers]
            await copy_checkpoint(settings.replicas, session, keeper, origin=origin, keys=verifiers)
        keeper.close()
    await check_start(reader=reader, keeper=keeper, origin=origin, keys=ledger.keys, witnesses=witnesses)
    await ledger.start()
    return ledger


async def check_heartbeat_secret(settings: Settings, database: Database) -> None:
    """Check that the secret is the one that agents enrolled with; create it if none has. Raises SettingsInvalid."""
    path = Path(settings.heartbeat_secret_file)
    secret = load_secret(path) if path.exists() else None  # noqa: ASYNC240 - at the start
    await check_secret(database, secret, path=str(path))
    await keep_secret(database, load_secret(path))


async def load_verifier(settings: Settings, stack: AsyncExitStack) -> Verifier:
    """Build the verifier of signatures: in a separate process if there is another core for it."""
    if not (settings.verifier_process if settings.verifier_process is not None else (os.cpu_count() or 1) > 1):
        return InThisProcess()
    verifier = VerifierProcess()
    stack.push_async_callback(verifier.close)
    await verifier.start()
    return verifier


def load_image_reader(
    settings: Settings, database: Database, outgoing: Outgoing, own: Mapping[str, ImageStore]
) -> RegistryImageReader:
    """Build the reader of images, in other registries and in our `own`. Raises SettingsInvalid."""
    others = RegistryImages(sessions=load_sessions(settings, outgoing), windows=outgoing.windows)
    trust = {registry_name(host): load_trust(host, one) for host, one in settings.trust.items()}
    return RegistryImageReader(
        stores=FrontImageStores(others=others, own=own), bases=KnownBaseImages(database), trust=trust
    )


def load_collectors(
    settings: Settings, images: RegistryImageReader, session: aiohttp.ClientSession,
    protection: Mapping[str, ProtectionReader],
) -> dict[str, Collector]:  # fmt: skip
    """Build the collectors, which read registries and Git servers; `protection`: the code hosts by name."""
    git = git_collectors(settings, load_git(settings, session, git_logins), protection)
    return {"image-source": ImageSourceCollector(images), "tag": TagCollector(images), **git}


async def load_listening(settings: Settings, database: Database) -> Listening:
    """Return the record of when agents were last heard, with the stored times loaded."""
    (row,) = await database.fetch(HEARD_LAST.bind({}))
    seen_at = heard_last(row)
    until = parse_instant(from_millis(seen_at)) if seen_at is not None else None
    return Listening(utc_now, silent_after_seconds=settings.silent_after_seconds, heard_until=until)


async def load_inventory(
    settings: Settings, database: Database, ledger: Ledger, questions: Questions
) -> InventoryCollector | None:
    """Build the inventory, which lists every account in every region by the EC2 API."""
    if settings.inventory is None:
        return None
    ec2 = AwsInventory(
        role_name=settings.inventory.role_name,
        session_name=settings.inventory.session_name,
        external_id=settings.inventory.external_id,
        endpoint_url=settings.aws_endpoint_url,
    )
    inventory = InventoryCollector(
        database=database, ledger=ledger, ec2=questions.of_ec2(ec2), seconds=settings.inventory.seconds, now=utc_now
    )
    await inventory.schedule(
        [(account, region) for account in accounts_named(settings) for region in settings.inventory.regions]
    )
    return inventory


def required_links(settings: Settings) -> frozenset[str]:
    """Return the links that a lineage must have to be complete. Raises SettingsInvalid."""
    if settings.required_links is None:
        return REQUIRED_LINKS
    unknown = sorted(set(settings.required_links) - CHOSEN_LINKS)
    if unknown or not settings.required_links:
        raise SettingsInvalid(
            "required-links",
            f"required_links: not a link: {', '.join(unknown)[:200]}" if unknown else "required_links is empty",
            fix=f"name one or more of: {' '.join(sorted(CHOSEN_LINKS))}",
        )
    return frozenset(settings.required_links)


def load_retention(settings: Settings, database: Database, ledger: Ledger) -> Retention:
    """Build the pruning of old bodies; without a retention it prunes nothing."""
    wanted = {
        "statement": settings.retention.statement_days,
        "verdict": settings.retention.verdict_days,
        "evidence": settings.retention.verdict_days,
        FINDINGS: settings.retention.finding_days,
        MEMBERS: settings.retention.member_days,
    }
    days = {kind: one for kind, one in wanted.items() if one is not None}
    return Retention(
        database=database,
        ledger=ledger,
        archive=ledger.reader.archive,
        days=days,
        now=utc_now,
        derived={MEMBERS: MembersRemoved(database), FINDINGS: FindingsRemoved(database)},
    )


def load_sts(settings: Settings, authorities: Authorities, session: aiohttp.ClientSession) -> StsCallers | None:
    """Build the client of STS, for the regions with a known certificate. Warn if keys are bound without it."""
    if settings.sts != "required":
        log.warning(
            "keys are bound without the proof by STS: anyone with an instance's document may enrol in its place",
            extra=fields(sts=settings.sts, fix="set sts: required"),
        )
    if settings.sts == "off":
        return None
    regions = frozenset(authorities.by_region)
    endpoint = settings.aws_endpoint_url
    return StsCallers(
        session=session, regions=regions, endpoints=dict.fromkeys(regions, endpoint) if endpoint else None
    )


def load_witnesses(settings: Settings, session: aiohttp.ClientSession) -> list[HttpWitness]:
    """Build the clients of the witnesses."""
    return [HttpWitness(session=session, url=one.url, key=VerifierKey.parse(one.key)) for one in settings.witnesses]


def check_witnesses(log_keys: Sequence[VerifierKey], witness_keys: Sequence[VerifierKey]) -> None:
    """Raise SettingsInvalid if a witness is the log itself."""
    if wrong := wrong_witnesses(log_keys, (), witness_keys):
        raise SettingsInvalid("witness-key", "; ".join(wrong), fix="name witnesses that have their own keys and names")


def load_proxies(settings: Settings) -> TrustedProxies:
    """Return the proxies that may name the client of a request. Raises ProxiesInvalid."""
    return TrustedProxies.parse(settings.trusted_proxies, settings.client_address_from)


def load_reader(settings: Settings, database: Database) -> LogReader:
    """Build the reader of the log, which also reads the archive if there is one."""
    retention, archive = settings.retention, None
    if retention.archive_bucket is not None:
        archive = S3Archive(
            bucket=retention.archive_bucket,
            prefix=retention.archive_prefix,
            region=retention.archive_region,
            endpoint_url=settings.aws_endpoint_url,
        )
    return LogReader(database, archive)
