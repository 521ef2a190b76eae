"""Which instances are meant by their state: `life` and `heard` are two things, and `state=` takes words of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import msgspec

from whence_aggregator.trace.facts import Heard
from whence_aggregator.trace.life import LIVES, Life
from whence_common.errors import InputError

HEARD: tuple[Heard, ...] = get_args(Heard)
_EVERY_WORD = ("now", "any", *LIVES, *HEARD)


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

    def to_query(self) -> dict[str, object]:
        """Return the parameters by which queries ask for these states; the arrays are JSON, as queries take them."""
        heard: dict[str, object] = {one: int(one in self.heard) for one in HEARD}
        return {"lives": msgspec.json.encode(self.lives).decode(), **heard, "every": int(not self.hearing)}

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
