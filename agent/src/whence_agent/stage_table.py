"""The stages of a boot: their order, deadlines and dependencies. Boot, settings, status and README use this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["judge", "act", "announce"]
"""`judge` changes nothing on the machine; `act` is skipped if the containers of this boot already run; `announce` ends
the boot, also a failed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage. Its deadline is the sum of `usual_seconds`, of `settings`, and of the value of `user_data`."""

    name: str
    phase: Phase = "act"
    needs: tuple[str, ...] = ()
    """The stages that must come first. The stage receives what these observed, and nothing of others."""
    usual_seconds: Mapping[str, float] = field(default_factory=dict)
    """Default seconds, by their name in the setting `stage_seconds_max`."""
    settings: tuple[str, ...] = ()
    """Names of settings, each a number of seconds."""
    user_data: str = ""
    """The key of user data that sets the deadline."""
    spare_seconds: float = 0.0
    """The stage ends by itself after the sum, to report the reason; it is cancelled so many seconds later."""


STAGES = (
    StageRow(name="identity", phase="judge", usual_seconds={"identity": 120.0}),
    StageRow(name="user-data", phase="judge", needs=("identity",), usual_seconds={"user-data": 10.0}),
    StageRow(name="enrol", phase="judge", needs=("identity",), usual_seconds={"enrol": 10.0}, spare_seconds=5.0),
    StageRow(name="credentials", needs=("user-data",), settings=("credentials_first_seconds_max",), spare_seconds=5.0),
    StageRow(name="secrets", needs=("user-data",), usual_seconds={"secrets": 90.0}),
    StageRow(name="image", needs=("user-data", "credentials", "secrets"), usual_seconds={"image": 120.0}),
    StageRow(name="host", needs=("user-data",), usual_seconds={"host": 60.0}),
    StageRow(
        name="storage",
        needs=("identity", "user-data"),
        settings=("volumes_seconds_max",),
        usual_seconds={"prepare": 1800.0},
    ),
    StageRow(name="pull", needs=("user-data", "image"), usual_seconds={"pull": 900.0}),
    StageRow(
        name="run",
        needs=("identity", "user-data", "credentials", "secrets", "host", "storage", "pull"),
        usual_seconds={"run": 180.0},
    ),
    StageRow(name="health", needs=("user-data", "run"), user_data="health_check_timeout_seconds"),
    StageRow(name="load-balancer", needs=("identity", "user-data", "health"), usual_seconds={"load-balancer": 300.0}),
    StageRow(name="notify", phase="announce", usual_seconds={"notify": 120.0}, spare_seconds=5.0),
)
STAGE_SECONDS_MAX = {name: seconds for row in STAGES for name, seconds in row.usual_seconds.items()}
"""Default deadlines in seconds, which the setting `stage_seconds_max` changes. `prepare` is the part of `storage` that
the helper does: making file systems."""


def row_of(name: str) -> StageRow:
    """Return a stage's row. Raises StopIteration for a stage that is not in the table, which is a bug."""
    return next(row for row in STAGES if row.name == name)
