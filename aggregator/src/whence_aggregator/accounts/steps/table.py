"""All steps, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Mapping

from whence_aggregator.accounts.permissions import actions_of
from whence_aggregator.accounts.resources import ResourceKind
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps import (
    alias,
    budgets,
    certificates,
    cloudtrail,
    config_recorder,
    configured_buckets,
    defaults,
    dns,
    flow_logs,
    guardduty,
    identity,
    images,
    keys,
    mint,
    nat,
    roles,
    security_groups,
    subnet_groups,
    vpc,
    vpc_endpoints,
)


def _reads() -> tuple[str, ...]:
    return actions_of(STEPS, writing=False)


STEPS: tuple[AccountStep, ...] = (
    alias.STEP,
    identity.STEP,
    roles.step(_reads),
    keys.STEP,
    configured_buckets.STEP,
    mint.STEP,
    cloudtrail.STEP,
    defaults.STEP,
    guardduty.STEP,
    config_recorder.STEP,
    budgets.STEP,
    dns.STEP,
    certificates.STEP,
    vpc.STEP,
    nat.STEP,
    vpc_endpoints.STEP,
    flow_logs.STEP,
    security_groups.STEP,
    subnet_groups.STEP,
    images.STEP,
)
KINDS: Mapping[str, ResourceKind] = {kind.name: kind for step in STEPS for kind in step.kinds}
