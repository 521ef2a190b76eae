"""Takes changed rules of users into a running program: all of them, after their examples, or none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.compliance.own.examples import judge_examples
from whence_aggregator.compliance.own.recorded import RecordedRules
from whence_aggregator.compliance.own.recording import record_rules
from whence_aggregator.compliance.own.rules import JudgesByOwnRules, OwnRule
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, StorageUnavailable
from whence_common.clock import Now
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0
_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRules:
    """The rules that users wrote, and why rules are switched off, by id."""

    own: Sequence[OwnRule]
    off: Mapping[str, str]


class RuleReloading:
    """Records wanted rules in the log and replaces those that judge. `in_force` returns the rules of the settings."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        engine: JudgesByOwnRules,
        in_force: Callable[[RecordedRules, Mapping[str, str]], RulesInForce],
        replace: Callable[[RulesInForce], None],
        count: Callable[[str], None],
        now: Now,
        pause: Callable[[float], Awaitable[object]] = pause,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._engine = engine
        self._in_force = in_force
        self._replace = replace
        self._count = count
        self._now = now
        self._pause = pause
        self._wanted: WantedRules | None = None
        self._woken = asyncio.Event()

    def want(self, wanted: WantedRules) -> None:
        """Have these rules taken soon; they were read, and are right but for their examples."""
        self._wanted = wanted
        self._woken.set()

    async def run(self) -> None:
        """Take wanted rules until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            wanted, self._wanted = self._wanted, None
            if wanted is None:
                continue
            try:
                await self.take(wanted)
            except StorageUnavailable as exc:
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
                await self._pause(AGAIN_SECONDS)
                self.want(self._wanted or wanted)

    async def take(self, wanted: WantedRules) -> bool:
        """Judge by other rules from now on; return False where an example is wrong: the rules stay as they were.

        Raises StorageUnavailable.
        """
        wrong = [str(one) for one in await judge_examples(self._engine, wanted.own) if not one.right]
        if wrong:
            self._count("refused")
            log.error(
                "reload of rules refused: they stay as they were", extra=fields(error="; ".join(wrong[:_SHOWN_MAX]))
            )
            return False
        recorded = await record_rules(self._database, self._ledger, wanted.own, wanted.off, at=self._now())
        self._replace(self._in_force(recorded, wanted.off))
        log.info("rules were read again", extra=fields(own=len(wanted.own), off=len(wanted.off)))
        return True
