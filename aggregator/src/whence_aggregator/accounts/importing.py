"""Import: what stands in an account, as the section of a configuration that states it. Makes no write call.

Each step states what it can of what was found, and names the rest. The section is then planned as any configuration
is: where a plan of it would not be empty, or what stands is not as the section means it, a note states so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from whence_aggregator.accounts.account import ConfiguredAccount, Target
from whence_aggregator.accounts.difference import Allowed, compare
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.planning import READS_AT_ONCE, wanted_of
from whence_aggregator.accounts.ports import Providers
from whence_aggregator.accounts.reading import AccountReading, read_account
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError, WhenceError

_BY_NAME = ("budgets", "kms", "roles", "s3_buckets", "saml_providers", "security_groups")
"""Keys whose entries stand for themselves: one that is refused leaves the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The section, and what it lacks: kinds that could not be read, each with the reason, and notes on the rest."""

    section: Mapping[str, Json]
    unread: tuple[str, ...]
    notes: tuple[ImportNote, ...] = ()


async def import_account(target: Target, steps: Sequence[AccountStep], providers: Providers) -> Imported:
    """Return what stands in an account that was verified, by the steps that can state it."""
    found, unread = await _find(target, steps, providers)
    stated, keys = stated_by(steps, found)
    notes = [*stated.notes]
    try:
        account = found.account(stated.section)
        wanted = wanted_of(account, steps)
    except InputError as exc:
        notes.append(ImportNote(key="", text=f"a plan refuses what is stated: {exc.message}"))
    else:
        notes += await _planned(account, wanted, steps, providers, found, keys)
    return Imported(section=stated.section, unread=unread, notes=tuple(dict.fromkeys(notes)))


def stated_by(steps: Sequence[AccountStep], found: FoundAccount) -> tuple[StatedSection, Mapping[str, str]]:
    """Return what all steps state of what was found, and the first key of each step that states one. Pure.

    What a step refuses as a configuration is left out, with its reason.
    """
    section: dict[str, Json] = {}
    notes: list[ImportNote] = []
    keys: dict[str, str] = {}
    for step in (one for one in steps if one.stated is not None):
        assert step.stated is not None, "only these steps were chosen"
        stated = step.stated(found)
        more: Mapping[str, Json] = {key: value for key, value in stated.section.items() if value not in (None, {}, [])}
        refusal = found.refusal({**section, **more}, step.wanted) if more else None
        notes += stated.notes
        if refusal is not None:
            more, refused = _accepted(section, more, step, found)
            notes += refused or [ImportNote(key="", text=f"{step.name}: a plan refuses what is stated: {refusal}")]
        if more:
            section |= more
            keys[step.name] = next(iter(more))
    return StatedSection(section=section, notes=tuple(notes)), keys


def _accepted(
    section: Mapping[str, Json], more: Mapping[str, Json], step: AccountStep, found: FoundAccount
) -> tuple[dict[str, Json], list[ImportNote]]:
    """Return what a step accepts of what it states, entry by entry, and notes on the rest."""
    kept: dict[str, Json] = {}
    notes: list[ImportNote] = []
    for key, value in more.items():
        left = value
        if isinstance(value, Mapping) and key in _BY_NAME:
            refusals = {name: found.refusal({**section, **kept, key: {name: one}}, step.wanted)
                        for name, one in value.items()}  # fmt: skip
            notes += [ImportNote(key=key, text=f"{name}: no configuration states it: {why}")
                      for name, why in refusals.items() if why is not None]  # fmt: skip
            left = {name: one for name, one in value.items() if refusals[name] is None}
        refusal = found.refusal({**section, **kept, key: left}, step.wanted) if left else None
        if refusal is not None:
            notes.append(ImportNote(key=key, text=f"{key}: no configuration states it: {refusal}"))
        elif left:
            kept[key] = left
    return kept, notes


async def _find(
    target: Target, steps: Sequence[AccountStep], providers: Providers
) -> tuple[FoundAccount, tuple[str, ...]]:
    limit, one_pass = asyncio.Semaphore(READS_AT_ONCE), providers.of_one_pass()
    unread: list[tuple[str, str]] = []

    async def part(kind: ResourceKind, region: str | None) -> Sequence[StandingResource]:
        async with limit:
            try:
                return await one_pass.find(kind, target, region)
            except WhenceError as exc:
                unread.append((kind.name, exc.diagnostics()))
                return ()

    kinds = {kind.name: kind for step in steps if step.stated is not None for kind in step.kinds}
    parts = [(kind, region) for kind in kinds.values() for region in (target.regions if kind.is_regional else (None,))]
    standing = await asyncio.gather(*(part(*one) for one in parts))
    found = FoundAccount(
        target=target, standing=tuple(one for some in standing for one in some),
        unread=frozenset(name for name, _ in unread),
    )  # fmt: skip
    return found, tuple(sorted(why for _, why in unread))


async def _planned(
    account: ConfiguredAccount, wanted: Sequence[WantedResource], steps: Sequence[AccountStep], providers: Providers,
    found: FoundAccount, keys: Mapping[str, str],
) -> list[ImportNote]:  # fmt: skip
    """Plan what is stated; return notes on what a plan would change, and on what is not as it is stated."""
    kinds = [kind for step in steps for kind in step.kinds if kind.name not in found.unread]
    asked = [one for one in wanted if one.kind.name not in found.unread]
    reading = await read_account(found.target, kinds, asked, providers, at_once=asyncio.Semaphore(READS_AT_ONCE))
    return [
        ImportNote(key=keys.get(kind.step, ""), text=text) for kind, text in _judged(asked, reading, found)
    ]  # fmt: skip


def _judged(
    wanted: Sequence[WantedResource], reading: AccountReading, found: FoundAccount
) -> Iterator[tuple[ResourceKind, str]]:
    kinds = {one.address: one.kind for one in reading.standing} | {one.address: one.kind for one in wanted}
    changes = {one.address: one for one in compare(wanted, reading.standing, Allowed(), reading.unread).changes}
    for address, change in changes.items():
        about = f" ({', '.join(sorted(change.after or ()))})" if change.action == "update" else ""
        yield kinds[address], f"{address}: a plan of this configuration would {change.action} it{about}"
    known = [one for one in wanted if one.address not in changes and not one.is_dropped]
    for address, aspects in replace(found, standing=reading.standing).differing(known).items():
        if address in reading.unread:
            yield kinds[address], f"{address}: it could not be read, to check that it stands so"
        elif not aspects:
            yield kinds[address], f"{address}: this configuration means it, and it does not stand"
        else:
            yield kinds[address], f"{address}: this configuration means another value of {', '.join(aspects)}"
