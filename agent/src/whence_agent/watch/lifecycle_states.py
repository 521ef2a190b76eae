"""What an Auto Scaling target lifecycle state means for this machine. Pure.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html: Detached,
InService, Standby, Terminated, Warmed:Hibernated, Warmed:Running, Warmed:Stopped, Warmed:Terminated. The
transitional states (`Warmed:Pending:Wait`, `Terminating:Proceed`) are accepted too.
"""

from __future__ import annotations

from typing import Literal

_WARMED = "Warmed:"
Plan = Literal["runs", "ends", "stops", "waits", ""]
"""runs: in service. ends: terminated. stops: stopped in the warm pool. waits: prepared for the pool, or in it running
or hibernated. Empty: no consequence for the containers."""


def plan_of(state: str) -> Plan:
    """Return what a target lifecycle state means for the containers."""
    inner = state.removeprefix(_WARMED)
    if inner.startswith("Terminat"):
        return "ends"
    if state == "InService":
        return "runs"
    if inner == state:
        return ""
    return "stops" if inner == "Stopped" else "waits"


def in_pool(state: str) -> bool:
    """Return whether a machine with this target state is in its group's warm pool or enters it."""
    return plan_of(state) in ("stops", "waits")
