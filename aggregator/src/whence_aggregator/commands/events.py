"""whence-aggregator events …: list, replay and discard the dead letters of CloudTrail, beside the running program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable

from whence_aggregator.events.dead_box import DeadBox
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.cloud_trail import opened_dead_box
from whence_common.visible import printable

_PAGE = 500


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser], *, settings_file: str) -> None:
    """Add `events` with its actions."""
    events = commands.add_parser("events", help="list, replay and discard what of CloudTrail could not be used")
    actions = events.add_subparsers(dest="action", required=True, metavar="ACTION")
    dead = actions.add_parser("dead", help="list the dead letters, the oldest first (exit 1 if there are any)")
    replay = actions.add_parser("replay", help="have dead letters taken again by the running program")
    chosen = replay.add_mutually_exclusive_group(required=True)
    chosen.add_argument("ids", nargs="*", default=[], metavar="ID", help="the ids of letters")
    chosen.add_argument("--all", action="store_true", help="the oldest thousand")
    chosen.add_argument("--code", help="those with this code, of the oldest thousand")
    discard = actions.add_parser("discard", help="delete dead letters for good")
    discard.add_argument("ids", nargs="+", metavar="ID", help="the ids of letters")
    for one in (dead, replay, discard):
        one.add_argument("--config", default=settings_file, help="settings (default: %(default)s)")


async def run_events(settings: Settings, arguments: argparse.Namespace, location: str | None) -> int:
    """Run one action of `events`."""
    actions: dict[str, Callable[[DeadBox, argparse.Namespace], Awaitable[int]]] = {
        "dead": _dead, "replay": _replay, "discard": _discard,
    }  # fmt: skip
    async with opened_dead_box(location or settings.database) as box:
        return await actions[arguments.action](box, arguments)


async def _dead(box: DeadBox, _: argparse.Namespace) -> int:
    count, after = 0, ""
    while True:
        letters, following = await box.page(after=after, limit=_PAGE)
        count += len(letters)
        for one in letters:
            record = f" record {one.number}" if one.number >= 0 else ""
            print(printable(f"{one.id} {one.code} {one.place}{record}: {one.reason}"))
        if following is None:
            break
        after = following
    print(f"{count} dead letters", file=sys.stderr)
    return 1 if count else 0


async def _replay(box: DeadBox, arguments: argparse.Namespace) -> int:
    for one in arguments.ids:
        await box.replay(one)
    count = len(arguments.ids) or await box.replay_all(arguments.code)
    print(f"{count} dead letters are taken again")
    return 0


async def _discard(box: DeadBox, arguments: argparse.Namespace) -> int:
    for one in arguments.ids:
        await box.discard(one)
    print(f"{len(arguments.ids)} dead letters discarded")
    return 0
