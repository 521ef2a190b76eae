"""The stages of a boot: their order, deadlines, and what must come first. Boot, settings, status and README read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["judge", "act", "tell"]
"""`judge` touches nothing on the machine; `act` is left out where the containers of this boot run already; `tell` ends
the boot, also a failed one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage. Its deadline is the sum of `usual_seconds`, of settings, and of what user data asks for."""

    name: str
    phase: Phase = "act"
    needs: tuple[str, ...] = ()
    """The stages that come before it. It sees what these observed, and nothing of others."""
    usual_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds by the name that the setting `stage_seconds_max` knows them by."""
    settings: tuple[str, ...] = ()
    """Settings, each a number of seconds."""
    user_data: str = ""
    """The key of user data that holds the deadline."""
    spare_seconds: float = 0.0
    """The stage itself ends after the sum, to say why; it is ended so many seconds later."""


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
    StageRow(name="notify", phase="tell", usual_seconds={"notify": 120.0}, spare_seconds=5.0),
)
STAGE_SECONDS_MAX = {name: seconds for row in STAGES for name, seconds in row.usual_seconds.items()}
"""Deadlines in seconds that the setting `stage_seconds_max` changes. `prepare` is the part of `storage` that the helper
does: making file systems."""


def row_of(name: str) -> StageRow:
    """Return a stage's row; asked only for stages of the table."""
    return next(row for row in STAGES if row.name == name)
