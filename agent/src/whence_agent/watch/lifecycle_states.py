"""What Auto Scaling has in mind for this machine, by its target lifecycle state. Pure.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html: Detached,
InService, Standby, Terminated, Warmed:Hibernated, Warmed:Running, Warmed:Stopped, Warmed:Terminated. The states on the
way (`Warmed:Pending:Wait`, `Terminating:Proceed`) are understood too.
"""

from __future__ import annotations

from typing import Literal

_WARMED = "Warmed:"
Plan = Literal["runs", "ends", "stops", "waits", ""]
"""runs: in service. ends: terminated. stops: kept stopped in the warm pool. waits: prepared for the pool, or kept there
running or hibernated, with its memory. Empty: nothing that concerns what runs here."""


def plan_of(state: str) -> Plan:
    """Return what a target lifecycle state means for what runs here."""
    inner = state.removeprefix(_WARMED)
    if inner.startswith("Terminat"):
        return "ends"
    if state == "InService":
        return "runs"
    if inner == state:
        return ""
    return "stops" if inner == "Stopped" else "waits"


def in_pool(state: str) -> bool:
    """Return whether a machine with this target goes into its group's warm pool, or is there."""
    return plan_of(state) in ("stops", "waits")
