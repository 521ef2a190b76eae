"""Problems of a resource that no write puts right are remarks of the plan."""

from __future__ import annotations

from whence_aggregator.accounts.difference import Allowed, compare
from whence_aggregator.accounts.resources import ResourceKind, StandingResource, WantedResource

_KIND = ResourceKind(name="certificate", step="certificates", reads=(), writes=())


def test_a_problem_is_a_remark_whether_or_not_the_resource_differs() -> None:
    wanted = [
        WantedResource(kind=_KIND, name="a", state={"tags": {}}),
        WantedResource(kind=_KIND, name="b", state={"tags": {}}),
    ]
    standing = [
        StandingResource(kind=_KIND, name="a", state={"tags": {}}, is_own=True, warnings=("it has failed",)),
        StandingResource(kind=_KIND, name="b", state={"tags": {"x": "y"}}, is_own=True, warnings=("it has expired",)),
    ]
    found = compare(wanted, standing, Allowed(), frozenset())
    assert [one.address for one in found.changes] == ["certificate/b"]
    assert [(one.address, one.kind, one.message) for one in found.remarks] == [
        ("certificate/a", "warning", "it has failed"),
        ("certificate/b", "warning", "it has expired"),
    ]
