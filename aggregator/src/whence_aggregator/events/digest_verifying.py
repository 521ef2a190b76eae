"""Verifying one digest file: a task of the queue. The file before it in the chain becomes the next task.

Each run proves one link: AWS's signature, and the hash of every log file. What the links prove together is judged from
their rows (digest_chain.py), and becomes an entry of the log when it changes. A log file that no message named is found
here, and read.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from whence_aggregator.events.allowed import AllowedTrails
from whence_aggregator.events.dead_letters import object_of_text
from whence_aggregator.events.digest_chain import judge_chain
from whence_aggregator.events.digest_file import DigestedFile, DigestFile, check_signature, ended_at, parse_digest
from whence_aggregator.events.digest_rows import (
    MISSING,
    CheckedFiles,
    digest_row,
    place_of,
    refused_digest_row,
    unread_digest_row,
)
from whence_aggregator.events.log_file import inflate
from whence_aggregator.events.object_keys import TrailKey, TrailObject, parse_key
from whence_aggregator.events.ports import ReadObject, TrailKeys, TrailObjects
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.events.rows import (
    chain_stated,
    digest_known,
    object_digests,
    public_key,
    stated_signature,
    verified_digest,
)
from whence_aggregator.events.taking import DIGEST_KIND, LOG_KIND, task_of
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database, SourceUnavailable
from whence_aggregator.projections.cloud_events import TRAIL_VERIFICATION, project_verifications
from whence_aggregator.queries.events import (
    PUT_TRAIL_DIGEST,
    PUT_TRAIL_KEY,
    SIGNATURE_BY_SUCCESSOR,
    TRAIL_CHAIN_STATED,
    TRAIL_DIGEST_STATE,
    TRAIL_DIGESTS_OF_CHAIN,
    TRAIL_KEY,
    TRAIL_OBJECTS_KNOWN,
    TrailChainStatedParameters,
    TrailDigestStateParameters,
)
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.work import ADD_TASK, AddTaskParameters
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, parse_instant, to_instant, to_millis
from whence_common.errors import one_line
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

FILES_READ_MAX = 100
"""Log files that one run reads because nothing else has; the rest is read by tasks first."""
AGAIN_SECONDS = 300.0
FOREIGN_SECONDS = 86_400.0
"""Until a file in a bucket that is not read is looked at again: the settings may have it then."""
LINKS_MAX = 24 * 400
_HOUR_MILLIS = 3_600_000
_BUCKET = "trail-bucket"
"""The code for log files in a bucket that is not in the settings."""


class DigestVerifying:
    """Verifies the digest file that a task names by `bucket/key`."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        objects: TrailObjects,
        keys: TrailKeys,
        allowed: AllowedTrails,
        days_max: int,
        now: Now,
        on_work: Callable[[], None],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._objects = objects
        self._keys = keys
        self._allowed = allowed
        self._millis_max = days_max * 86_400_000
        self._now = now
        self._on_work = on_work

    async def do(self, task: Task) -> Again | None:
        """Verify the file; return when to look again if its log files are not read yet. Raises SourceUnavailable."""
        one = object_of_text(task.subject)
        try:
            key = self._allowed.key_of(one)
        except TrailRefused as exc:
            return await self._unread(one, exc)
        if key is None:
            return None
        try:
            stored = await self._objects.read(one.bucket, one.key)
            assert stored is not None, "it was asked for unconditionally"
            digest = await asyncio.to_thread(parse_digest, stored.content, one, key.account_id)
            await self._check_signature(digest, stored, one, key)
            checked = await self._files(digest, key)
            if checked.later:
                await self._add_tasks(checked.unread, key)
                return Again(seconds=AGAIN_SECONDS, reason=f"{len(checked.unread)} log files are not read yet")
            row = digest_row(one, key, digest, checked, at=to_millis(self._now()))
        except SourceUnavailable as exc:
            if exc.code == _BUCKET:
                await self._state_unread(one, key, exc)
            raise
        except TrailRefused as exc:
            checked, digest = CheckedFiles(), None
            row = refused_digest_row(one, key, exc, at=to_millis(self._now()))
        await self._database.write(PUT_TRAIL_DIGEST.bind([row]))
        await self._follow(digest, checked, key)
        await self._judge(key, row["chain"])
        return None

    async def _unread(self, one: TrailObject, exc: TrailRefused) -> Again | None:
        """Show why a file that another one names is not read: it may be in another account's bucket."""
        log.warning("digest file not read", extra=fields(object=str(one), code=exc.code, reason=exc.message))
        key = parse_key(one.key)
        if key is None or exc.code != "bucket-foreign":
            return None
        await self._state_unread(one, key, exc)
        if ended_at(one.key) < to_millis(self._now()) - self._millis_max:
            return None  # chains are not followed back so far
        return Again(seconds=FOREIGN_SECONDS, reason=exc.message)

    async def _state_unread(self, one: TrailObject, key: TrailKey, exc: TrailRefused | SourceUnavailable) -> None:
        """Record that the chain is unknown because a file, or the log files that it names, are not read."""
        row = unread_digest_row(one, key, exc.message, at=to_millis(self._now()))
        await self._database.write(PUT_TRAIL_DIGEST.bind([row]))
        await self._judge(key, row["chain"])

    async def _check_signature(self, digest: DigestFile, stored: ReadObject, one: TrailObject, key: TrailKey) -> None:
        """Raise TrailRefused unless AWS signed the file, by its metadata or else by what the next file states."""
        signature = stored.signature
        if not signature:
            rows = await self._database.fetch(SIGNATURE_BY_SUCCESSOR.bind({"previous_place": place_of(one)}))
            signature = stated_signature(rows)
        if not signature:
            raise TrailRefused("digest-unsigned", "the digest file has no signature in its metadata")
        public = await self._public_key(digest, stored, key.region)
        if public is None:
            raise TrailRefused("digest-key", "CloudTrail lists no public key with the fingerprint of the digest file")
        await asyncio.to_thread(check_signature, digest, signature, public)

    async def _public_key(self, digest: DigestFile, stored: ReadObject, region: str) -> bytes | None:
        """Return the key that a digest file names; keys of a period are asked for once, and kept."""
        wanted = TRAIL_KEY.bind({"region": region, "fingerprint": digest.fingerprint})
        found = public_key(await self._database.fetch(wanted))
        if found is not None:
            return found
        starts_at, ends_at = digest.starts_at, digest.ends_at
        if stored.generated_at:
            try:
                made = to_millis(parse_instant(stored.generated_at))
            except ValueError as exc:
                raise TrailRefused("digest-malformed", "backfill-generation-timestamp is not a time") from exc
            starts_at, ends_at = made - _HOUR_MILLIS, made + _HOUR_MILLIS
        listed = await self._keys.listed(region, starts_at=starts_at, ends_at=ends_at)
        at = to_millis(self._now())
        await self._database.write(
            PUT_TRAIL_KEY.bind(
                [
                    {"region": region, "fingerprint": one.fingerprint, "content": one.content, "fetched_at": at}
                    for one in {one.fingerprint: one for one in listed}.values()
                ]
            )
        )
        return next((one.content for one in listed if one.fingerprint == digest.fingerprint), None)

    async def _files(self, digest: DigestFile, key: TrailKey) -> CheckedFiles:
        """Compare the log files that a digest file names, with what was read or else with what is stored now."""
        by_bucket: defaultdict[str, list[DigestedFile]] = defaultdict(list)
        for one in digest.files:
            by_bucket[one.s3_bucket].append(one)
        missing = invalid = 0
        unread: list[tuple[TrailObject, str]] = []
        for bucket, files in by_bucket.items():
            self._check_bucket(bucket)
            rows = await self._database.fetch(
                TRAIL_OBJECTS_KNOWN.bind({"bucket": bucket, "object_keys": array([one.s3_object for one in files])})
            )
            known = object_digests(rows)
            for file in files:
                there = known.get(file.s3_object)
                if there is None:
                    unread.append((TrailObject(bucket=bucket, key=file.s3_object), file.hash_value))
                elif there != file.hash_value:
                    invalid += 1
        objects = [one for one, _ in unread]
        if len(unread) > FILES_READ_MAX:
            return CheckedFiles(unread=objects, later=True)
        for one_object, expected in unread:
            found = await self._hash_of(one_object, key)
            missing += found is None
            invalid += found is not None and found != expected
        return CheckedFiles(missing=missing, invalid=invalid, unread=objects)

    def _check_bucket(self, bucket: str) -> None:
        """Raise SourceUnavailable for log files in a bucket that is not read: they are neither missing nor invalid."""
        if bucket not in self._allowed.buckets:
            message = f"log files are in bucket {one_line(bucket, 70)}, which is not in the settings"
            raise SourceUnavailable(_BUCKET, message, fix="add it to cloud_trail.buckets")

    async def _hash_of(self, one: TrailObject, key: TrailKey) -> str | None:
        """Return the SHA-256 of a stored log file; None when it does not exist, empty when it cannot be the file."""
        try:
            stated = self._allowed.key_of(one)
            if stated is None or stated.account_id != key.account_id:
                return ""
            stored = await self._objects.read(one.bucket, one.key)
            assert stored is not None, "it was asked for unconditionally"
            return await asyncio.to_thread(lambda: hashlib.sha256(inflate(stored.content)).hexdigest())
        except TrailRefused as exc:
            return None if exc.code == MISSING else ""

    async def _follow(self, digest: DigestFile | None, checked: CheckedFiles, key: TrailKey) -> None:
        """Add the file before this one in its chain, as far as chains are followed, and log files that were missed."""
        await self._add_tasks(checked.unread, key)
        previous = digest.previous if digest is not None else None
        if digest is None or previous is None or digest.starts_at < to_millis(self._now()) - self._millis_max:
            return
        place: TrailDigestStateParameters = {"bucket": previous.object.bucket, "object_key": previous.object.key}
        if not digest_known(await self._database.fetch(TRAIL_DIGEST_STATE.bind(place))):
            await self._add([task_of(previous.object, DIGEST_KIND, key.account_id, due_at=to_instant(self._now()))])

    async def _add_tasks(self, objects: Sequence[TrailObject], key: TrailKey) -> None:
        due_at = to_instant(self._now())
        await self._add([task_of(one, LOG_KIND, key.account_id, due_at=due_at) for one in objects])

    async def _add(self, tasks: Sequence[AddTaskParameters]) -> None:
        if tasks:
            await self._database.write(ADD_TASK.bind(list({one["subject"]: one for one in tasks}.values())))
            self._on_work()

    async def _judge(self, key: TrailKey, chain: str) -> None:
        """Record what the chain proves, if that changed."""
        of: TrailChainStatedParameters = {"account_id": key.account_id, "region": key.region, "chain": chain}
        rows = await self._database.fetch(TRAIL_DIGESTS_OF_CHAIN.bind({**of, "limit": LINKS_MAX}))
        verdict = judge_chain(list(map(verified_digest, rows)))
        async with self._ledger.writing(together(TRAIL_CHAIN_STATED.bind(of))) as writing:
            if chain_stated(writing.found[0]) == (verdict.state, verdict.reason):
                return
            stated: dict[str, Any] = {
                **of,
                "state": verdict.state,
                "reason": one_line(verdict.reason, 1_000),
                "observed_at": to_instant(self._now()),
            }
            ((index, _),) = await writing.append(
                [NewEntry(kind=TRAIL_VERIFICATION, content=event(TRAIL_VERIFICATION, stated))]
            )
            await project_verifications(writing.transaction, [(index, stated)])
