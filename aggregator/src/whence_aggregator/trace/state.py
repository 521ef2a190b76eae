"""Which instances are meant by their state: `life` and `heard` are two things, and `state=` takes words of both."""

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
    """The parameters by which queries ask for states: 1 where instances that are heard so are meant."""

    lives: str
    every: int
    speaking: int
    silent: int
    never: int


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """`lives` and `heard` are alternatives each, and both must hold. `now`: running, or unknown and speaking."""

    lives: tuple[Life, ...] = LIVES
    heard: tuple[Heard, ...] = HEARD
    now: bool = False

    @classmethod
    def parse(cls, text: str | None) -> States:
        """Read words that commas part; None means now. Raises InputError."""
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
        """Return the parameters by which queries ask for these states."""
        return {
            "lives": array(self.lives),
            "every": int(not self.hearing),
            "speaking": int("speaking" in self.heard),
            "silent": int("silent" in self.heard),
            "never": int("never" in self.heard),
        }

    @property
    def hearing(self) -> bool:
        """Whether it depends on when agents were heard last, which is known of the present only."""
        return self.heard != HEARD

    def includes(self, life: Life, heard: Heard | None) -> bool:
        """Return whether an instance is meant. Of the past, where `heard` is not known, its life alone decides."""
        if life not in self.lives or (heard is not None and heard not in self.heard):
            return False
        return not self.now or life == "running" or heard in ("speaking", None)


NOW_ONLY = States(lives=("running", "unknown"), now=True)
