"""Subnet groups `internal` of RDS and ElastiCache: all internal subnets of the region's VPC."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, of, own_tags
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.stated_network import KINDS, state_network
from whence_aggregator.accounts.steps.vpc_layout import Layout, layouts
from whence_common.errors import InputError

NAME = "internal"
_KEY = "database_subnet_groups"
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


def stated(found: FoundAccount) -> StatedSection:
    """Return whether both groups stand in every region, with all internal subnets of the VPC that is stated."""
    kinds = (DB_SUBNET_GROUP.name, CACHE_SUBNET_GROUP.name)
    standing = found.of(*kinds)
    if not standing or not found.is_read(*kinds, *KINDS):
        return StatedSection()
    vpcs = state_network(found).vpcs
    internal = {region: sorted(one.id for one in vpc.of_type("internal")) for region, vpc in vpcs.items()}
    usable = [one for one in standing if one.name == NAME and one.region in internal
              and one.state["subnets"] == internal[str(one.region)]]  # fmt: skip
    is_whole = len(usable) == len(found.regions) * len(kinds)
    notes = [
        f"{one.address}: a configuration states groups {NAME} of RDS and ElastiCache, in every region, of all internal "
        "subnets of its VPC"
        for one in standing if not (is_whole and one in usable)
    ]  # fmt: skip
    section: dict[str, Json] = {_KEY: True} if is_whole else {}
    return StatedSection(section=section, notes=tuple(ImportNote(key=_KEY, text=one) for one in notes))


STEP = AccountStep(
    name="subnet-groups", summary="subnet groups of RDS and ElastiCache", kinds=(DB_SUBNET_GROUP, CACHE_SUBNET_GROUP),
    wanted=wanted, stated=stated,
)  # fmt: skip
