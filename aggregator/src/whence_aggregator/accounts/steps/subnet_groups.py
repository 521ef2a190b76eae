"""Subnet groups `internal` of RDS and ElastiCache: all internal subnets of the region's VPC."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, of, own_tags
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.vpc_layout import Layout, layouts
from whence_common.errors import InputError

NAME = "internal"
DESCRIPTION = "Default subnet group using all internal subnets"

DB_SUBNET_GROUP = ResourceKind(
    name="db-subnet-group", step="subnet-groups", is_regional=True, after=("subnet",), fixed=("vpc",),
    reads=("rds:DescribeDBSubnetGroups", "rds:ListTagsForResource"),
    writes=(
        "rds:AddTagsToResource", "rds:CreateDBSubnetGroup", "rds:DeleteDBSubnetGroup", "rds:ModifyDBSubnetGroup",
    ),
)  # fmt: skip
CACHE_SUBNET_GROUP = ResourceKind(
    name="cache-subnet-group", step="subnet-groups", is_regional=True, after=("subnet",), fixed=("vpc",),
    reads=("elasticache:DescribeCacheSubnetGroups", "elasticache:ListTagsForResource"),
    writes=(
        "elasticache:AddTagsToResource", "elasticache:CreateCacheSubnetGroup", "elasticache:DeleteCacheSubnetGroup",
        "elasticache:ModifyCacheSubnetGroup",
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the groups of all regions. Raises InputError for a VPC without internal subnets."""
    if not account.settings.database_subnet_groups:
        return ()
    return [
        _group(account, layout, kind) for layout in layouts(account) for kind in (DB_SUBNET_GROUP, CACHE_SUBNET_GROUP)
    ]  # fmt: skip


def _group(account: ConfiguredAccount, layout: Layout, kind: ResourceKind) -> WantedResource:
    subnets: list[Json] = [of(layout.subnet_address(one), "id") for one in layout.of_type("internal")]
    if not subnets:
        message = f"accounts.{account.name}.database_subnet_groups: {layout.region} has no internal subnets"
        raise InputError("accounts-subnet-group", message, fix="state subnets of type internal in two zones or more")
    state: dict[str, Json] = {"tags": own_tags(NAME), "vpc": layout.vpc_id, "subnets": subnets}
    return WantedResource(kind=kind, name=NAME, region=layout.region, state=state)


STEP = AccountStep(
    name="subnet-groups", summary="subnet groups of RDS and ElastiCache", kinds=(DB_SUBNET_GROUP, CACHE_SUBNET_GROUP),
    wanted=wanted,
)  # fmt: skip
