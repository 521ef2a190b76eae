"""Wiring of the removal of what the log holds about one person, beside the servers that run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from whence_aggregator.adapters.log_files import CheckpointFile, MemoryCheckpoint, load_signers
from whence_aggregator.audit.forgetting import Forgetting, NamingEntry
from whence_aggregator.audit.naming import Persons
from whence_aggregator.ledger.continuity import check_start
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.projections.kinds import KINDS
from whence_aggregator.settings.server import log_origin
from whence_aggregator.wiring import parts
from whence_aggregator.wiring.ledger import Decision
from whence_common.clock import utc_now
from whence_common.settings_file import SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """The entries found, and how many bodies were removed; None where nothing was to be removed yet."""

    entries: Sequence[NamingEntry]
    removed: int | None


async def forget(decision: Decision, *, persons: Sequence[str], entries: Sequence[int], remove: bool) -> Forgotten:
    """Find the entries that name a person, or that are named, and remove their bodies. Raises WhenceError or OSError.

    The checkpoint of the entry that states it is signed in memory: the servers sign the log again by themselves.
    """
    if not persons and not entries:
        raise SettingsInvalid("nobody-named", "nothing is to be found", fix="pass --person or --entry")
    named = Persons(persons)
    if named.named_in(decision.reason):
        fix = "give a reason without the name, such as the number of the request"
        raise SettingsInvalid(
            "reason-names-person", "the reason names the person, and stays in the public log", fix=fix
        )
    settings = decision.settings
    async with AsyncExitStack() as stack:
        database = await parts.open_database(decision.location, "read")
        stack.push_async_callback(database.close)
        reader, keeper = parts.load_reader(settings, database), MemoryCheckpoint()
        keeper.note = CheckpointFile(decision.checkpoint_file).load()
        origin = log_origin(settings)
        signers = load_signers(decision.keys_file, name=origin, made=False)
        ledger = Ledger(database=database, reader=reader, kinds=KINDS, signers=signers, keeper=keeper, now=utc_now)
        await check_start(reader=reader, keeper=keeper, origin=origin, keys=ledger.keys, witnesses=())
        forgetting = Forgetting(database=database, ledger=ledger, archive=reader.archive, now=utc_now)
        found = await forgetting.find(named, entries)
        if not remove:
            return Forgotten(entries=found, removed=None)
        await ledger.start()
        return Forgotten(entries=found, removed=await forgetting.remove(found, reason=decision.reason))
