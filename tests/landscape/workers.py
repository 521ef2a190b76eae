"""How `make test` deals test files to its workers, and the network that each worker has to itself."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

OUTSIDE = "tests/install/"
"""Tests that download: the first worker runs them, because it stays on the machine's own network."""

ON_THE_MACHINE = (
    "tests/acceptance/", OUTSIDE, "tests/integration/test_agent_adapters.py",
    "tests/integration/test_agent_cloud.py", "tests/integration/test_collectors.py",
    "tests/integration/test_aws_weather.py", "tests/contract/test_engine.py",
    "tests/integration/test_registry_trust.py", "tests/integration/test_user_data_boots.py",
    "tests/integration/test_pull_weather.py", "tests/integration/test_watching.py",
)  # fmt: skip
"""Tests that use a Docker Engine and its bridge. The first worker runs them all where workers share one network."""

_RINGS = (OUTSIDE, "tests/acceptance/", "tests/integration/", "tests/contract/", "tests/unit/")
"""The rings, longest files first: a long file that is begun last keeps one worker busy while the others wait."""

_FIRST = "gw0"
_NO_ENGINE = "unix:///run/whence-no-engine.sock"
"""Nothing listens here, so that a worker starts an engine on its own network: it cannot reach the ports of another's."""

_CLONE_NEWNET = 0x40000000  # sched.h; os.unshare comes with Python 3.12


class Dealing(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give a whole file to whichever worker is free, so that what a module starts is started once.

    xdist's own groups by marker do not work with pytest 9.2: the scheduler no longer sees them.
    """

    def __init__(self, config: pytest.Config, log: Producer, *, own_networks: bool) -> None:
        super().__init__(config, log)
        self._first_only = (OUTSIDE,) if own_networks else ON_THE_MACHINE

    def schedule(self) -> None:
        for node in self.nodes:
            if node.gateway.id != _FIRST:  # the first worker chooses first, and is kept when there is work for one only
                self.assigned_work[node] = self.assigned_work.pop(node)
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return OUTSIDE if nodeid.startswith(self._first_only) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        waiting = sorted(self.workqueue, key=lambda scope: (_ring(scope), -len(self.workqueue[scope])))
        self.workqueue.move_to_end(waiting[0], last=False)
        super()._assign_work_unit(node)


def _ring(scope: str) -> int:
    return next((number for number, ring in enumerate(_RINGS) if scope.startswith(ring)), len(_RINGS))


def networks_can_be_made() -> bool:
    """Return whether this user can give a worker a network and an engine of its own."""
    if os.geteuid() != 0 or not all(shutil.which(program) for program in ("unshare", "ip", "dockerd")):
        return False
    tried = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return tried.returncode == 0


def take_own_network(worker: str) -> None:
    """Move this process, and what it starts, to a network with nothing but loopback; the first worker stays outside."""
    if worker == _FIRST:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot give this worker a network of its own")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.environ["DOCKER_HOST"] = _NO_ENGINE
