"""The filter of instances by state: `life` and `heard` are separate, and `state=` accepts words of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, get_args

from whence_aggregator.queries.query import array
from whence_aggregator.trace.facts import Heard
from whence_aggregator.trace.life import LIVES, Life
from whence_common.errors import InputError

HEARD: tuple[Heard, ...] = get_args(Heard)
_EVERY_WORD = ("now", "any", *LIVES, *HEARD)


class StatesAsked(TypedDict):
    """The parameters of queries that filter by state: 1 includes instances with that `heard`."""

    lives: str
    every: int
    speaking: int
    silent: int
    never: int


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Matches instances whose life is in `lives` and `heard` in `heard`. `now`: running, or unknown and speaking."""

    lives: tuple[Life, ...] = LIVES
    heard: tuple[Heard, ...] = HEARD
    now: bool = False

    @classmethod
    def parse(cls, text: str | None) -> States:
        """Return the filter for comma-separated words; None means `now`. Raises InputError."""
        if text is None or text == "now":
            return NOW_ONLY
        if text == "any":
            return cls()
        words = text.split(",")
        wrong = [word for word in words if word not in LIVES and word not in HEARD]
        if wrong:
            raise InputError(
                "parameter-malformed",
                f"state: unknown word {wrong[0][:50]!r}",
                fix=f"pass now, any, or words of: {', '.join(_EVERY_WORD[2:])}",
            )
        return cls(
            lives=tuple(one for one in LIVES if one in words) or LIVES,
            heard=tuple(one for one in HEARD if one in words) or HEARD,
        )

    def to_query(self) -> StatesAsked:
        """Return the parameters of queries for these states."""
        return {
            "lives": array(self.lives),
            "every": int(not self.hearing),
            "speaking": int("speaking" in self.heard),
            "silent": int("silent" in self.heard),
            "never": int("never" in self.heard),
        }

    @property
    def hearing(self) -> bool:
        """Return whether the filter depends on when agents were heard last, which is known only of the present."""
        return self.heard != HEARD

    def includes(self, life: Life, heard: Heard | None) -> bool:
        """Return whether an instance matches. In the past, when `heard` is None, only its life counts."""
        if life not in self.lives or (heard is not None and heard not in self.heard):
            return False
        return not self.now or life == "running" or heard in ("speaking", None)


NOW_ONLY = States(lives=("running", "unknown"), now=True)
