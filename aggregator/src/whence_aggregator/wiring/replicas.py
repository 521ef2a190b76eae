"""Wiring of a new replica's start: it copies the last signed checkpoint from a replica that runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from whence_aggregator.adapters.replicas import RunningReplica, load_token, trusting
from whence_aggregator.ledger.continuity import copied
from whence_aggregator.ports import CheckpointKeeper
from whence_aggregator.settings.replicas import ReplicaSettings
from whence_common.errors import RoadError
from whence_common.note import NoteInvalid, VerifierKey
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)


async def copy_checkpoint(
    replicas: ReplicaSettings | None,
    session: aiohttp.ClientSession,
    keeper: CheckpointKeeper,
    *,
    origin: str,
    keys: Sequence[VerifierKey],
) -> None:
    """Keep the newest checkpoint of the replicas that answer, if none is kept. Raises SettingsInvalid.

    What the log's own keys did not sign is not kept. If no replica answers, nothing is, and the start is refused.
    """
    if replicas is None or keeper.load() is not None:
        return
    token = load_token(Path(replicas.token_file))
    tls = trusting(replicas.ca_file) if replicas.ca_file is not None else None
    notes = []
    for url in replicas.urls:
        try:
            content = await RunningReplica(session=session, url=url, token=token, tls=tls).checkpoint()
            notes.append(copied(content, origin=origin, keys=keys))
        except (RoadError, NoteInvalid) as exc:
            log.warning("cannot copy a replica's checkpoint", extra=fields(replica=url, reason=exc.message))
    if notes:
        newest = max(notes, key=lambda one: one.size)
        keeper.keep(newest.note)
        log.info("copied the checkpoint of a running replica", extra=fields(entries=newest.size))
