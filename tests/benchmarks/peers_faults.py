"""Four faults of one account: what Custodian, Prowler and the aggregator state about its instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers_fleet import ACCOUNTS, Launched
from benchmarks.peers_programs import OURS_ON_INVENTORY, OURS_ON_USER_DATA, Ours, custodian, ours, prowler
from benchmarks.peers_runs import Took
from fakes.aws_front import AwsFront, Call, Refusal

BROKEN, RIGHT = ACCOUNTS
_RETRIES_SECONDS_MAX = 150.0
"""For Custodian, which retries what is throttled for longer."""
_NOT_ALLOWED = (
    "You are not authorized to perform this operation. User: arn:aws:sts::111111111111:assumed-role/whence-inventory/x"
    " is not authorized to perform: {0} because no identity-based policy allows the {0} action"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Every call of one action is refused for the broken account."""

    name: str
    action: str
    refusal: Refusal
    rules: Sequence[str]
    """Our rules that rest on what is refused."""

    def refuse(self, call: Call) -> Refusal | None:
        return self.refusal if (call.account_id, call.action) == (BROKEN, self.action) else None


FAULTS = (
    Fault(
        name="DescribeInstances denied", action="DescribeInstances", rules=(*OURS_ON_INVENTORY, *OURS_ON_USER_DATA),
        refusal=Refusal("UnauthorizedOperation", _NOT_ALLOWED.format("ec2:DescribeInstances"), status=403),
    ),
    Fault(
        name="DescribeInstances throttled", action="DescribeInstances", rules=(*OURS_ON_INVENTORY, *OURS_ON_USER_DATA),
        refusal=Refusal("RequestLimitExceeded", "Request limit exceeded.", status=503),
    ),
    Fault(
        name="user data denied", action="DescribeInstanceAttribute", rules=OURS_ON_USER_DATA,
        refusal=Refusal("UnauthorizedOperation", _NOT_ALLOWED.format("ec2:DescribeInstanceAttribute"), status=403),
    ),
    Fault(
        name="AssumeRole denied", action="AssumeRole", rules=(*OURS_ON_INVENTORY, *OURS_ON_USER_DATA),
        refusal=Refusal("AccessDenied", "User: whence is not authorized to perform: sts:AssumeRole", status=403),
    ),
)  # fmt: skip


async def compare(fleet: Sequence[Launched], front: AwsFront, directory: Path) -> None:
    """Print what each program states about the broken account, by fault; first without one."""
    print(
        f"about one of two accounts, {len(fleet) // 2} instances in two regions; -9: stopped after {_RETRIES_SECONDS_MAX:g} s"
    )
    await _states("no fault", lambda _: None, fleet, front, directory / "none", FAULTS[0].rules)
    for number, fault in enumerate(FAULTS):
        await _states(fault.name, fault.refuse, fleet, front, directory / str(number), fault.rules)


async def _states(
    name: str, refuse: Callable[[Call], Refusal | None], fleet: Sequence[Launched], front: AwsFront, directory: Path,
    rules: Sequence[str],
) -> None:  # fmt: skip
    front.refuse = refuse
    print(f"-- {name}", flush=True)
    theirs = await custodian(BROKEN, front, directory, seconds_max=_RETRIES_SECONDS_MAX)
    print(f"custodian  exit {theirs.exit_code}; {_counted(theirs.found)}; {_said(theirs)}", flush=True)
    theirs = await prowler(BROKEN, front, directory)
    print(f"prowler    exit {theirs.exit_code}; {_counted(theirs.found)}; {_said(theirs)}", flush=True)
    async with ours(fleet, front, directory / "ours") as running:
        await running.until_read(4)
        await _told(running, rules)


async def _told(running: Ours, rules: Sequence[str]) -> None:
    """Print what the aggregator states about both accounts, and what it could not read."""
    broken, right = await running.verdicts(rules, BROKEN), await running.verdicts(rules, RIGHT)
    server = running.server
    codes = [(await server.whence("summary", "--account", one))[0] for one in (BROKEN, RIGHT)]
    print(f"whence     exit {codes[0]}; {', '.join(rules)}: {_counted(broken)}")
    print(f"           the other account: exit {codes[1]}; {_counted(right)}")
    found = await server.get("/v1/violations", verdict="unknown", rule=rules[-1], account=BROKEN, limit="1")
    for one in found["violations"]:
        print(f"           {one['rule']} of {one['instance_id']} is {one['verdict']}: {one['reason']}")
    for one in (await server.get("/v1/coverage"))["sources"]:
        if one["state"] != "read":
            named = f" (missing permission: {one['permission']})" if one["permission"] else ""
            place = f"{one['account_id']}/{one['region']}"
            print(f"           {one['source']} of {place} {one['state']}{named}: {one['reason']}", flush=True)


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(found.items())) or "nothing"


def _said(took: Took) -> str:
    """Return the last line that names the refusal, or an exception, as the program printed it."""
    words = ("Unauthorized", "RequestLimitExceeded", "AccessDenied", "not authorized", "Error:", "no findings")
    lines = [one.strip() for one in took.output.splitlines() if any(word in one for word in words)]
    return f"printed: {lines[-1][:160]}" if lines else "no refusal printed"
