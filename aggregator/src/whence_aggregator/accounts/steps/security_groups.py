"""Security groups of the regions' VPCs, and the trusted networks as a prefix list that their rules refer to.

Every rule of ours has our tag. Rules without it are listed and left, also in a group of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.network import IpPermission, SecurityGroup, Vpc
from whence_aggregator.accounts.ingress import KMS_GROUP, TRUSTED_LISTS, WITH_PORTS, IngressRule, grouped, rule
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, address_of, of, own_tags
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.stated_groups import stated
from whence_aggregator.accounts.steps.vpc_layout import Layout, layouts
from whence_common.errors import InputError

_DESCRIPTION_CHARACTERS_MAX = 255
_RULES_MAX = 1_000
"""Of a group: the most that AWS grants on request."""

PREFIX_LIST = ResourceKind(
    name="prefix-list", step="security-groups", is_regional=True, fixed=("family",),
    reads=("ec2:DescribeManagedPrefixLists", "ec2:GetManagedPrefixListEntries"),
    writes=(
        "ec2:CreateManagedPrefixList", "ec2:CreateTags", "ec2:DeleteManagedPrefixList", "ec2:ModifyManagedPrefixList",
    ),
)  # fmt: skip
SECURITY_GROUP = ResourceKind(
    name="security-group", step="security-groups", is_regional=True, after=("vpc", "prefix-list"),
    fixed=("vpc", "description"),
    reads=(
        "ec2:DescribeManagedPrefixLists", "ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups",
        "ec2:DescribeVpcs",
    ),
    writes=(
        "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateSecurityGroup", "ec2:CreateTags", "ec2:DeleteSecurityGroup",
        "ec2:RevokeSecurityGroupIngress",
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the security groups of all regions. Raises InputError for rules that AWS would not accept."""
    _check_autogeneration(account)
    groups = account.settings.security_groups
    trusted = _trusted(account)
    if not any(one.allow_from_trusted for one in groups.values()):
        trusted = {}
    elif not trusted:
        message = f"accounts.{account.name}.trusted_networks is empty, but a security group has allow_from_trusted"
        raise InputError("accounts-trusted-networks", message, fix="state the networks, or remove allow_from_trusted")
    found = _endpoint_groups(account)
    for layout in layouts(account) if groups else ():
        for version, entries in trusted.items():
            state: dict[str, Json] = {
                "tags": own_tags(TRUSTED_LISTS[version], {"Name": TRUSTED_LISTS[version]}), "family": f"IPv{version}",
                "entries": entries,
            }  # fmt: skip
            found.append(
                WantedResource(kind=PREFIX_LIST, name=TRUSTED_LISTS[version], region=layout.region, state=state)
            )
        found += [_group(account, layout, name, group, trusted) for name, group in groups.items()]
    return found


def _endpoint_groups(account: ConfiguredAccount) -> list[WantedResource]:
    """Return the group of the endpoint of KMS in each VPC that has one: all of the VPC may connect by HTTPS."""
    if "kms" not in (account.settings.vpc or Vpc()).endpoints:
        return []
    return [
        WantedResource(
            kind=SECURITY_GROUP, name=KMS_GROUP, region=layout.region, within=(layout.address,),
            is_verified=layout.is_verified,
            state={
                "tags": layout.tags(KMS_GROUP, {"InfrastructureComponent": "true", "Name": KMS_GROUP}),
                "vpc": layout.vpc_id, "description": "Allow access to the KMS VPC endpoint",
                "ingress": grouped([rule("tcp", 443, 443, layout.cidr)]),
            },
        )
        for layout in layouts(account) if layout.is_profile
    ]  # fmt: skip


def _group(
    account: ConfiguredAccount, layout: Layout, name: str, group: SecurityGroup, trusted: dict[int, dict[str, Json]]
) -> WantedResource:
    key = f"accounts.{account.name}.security_groups.{name}"
    if not group.ip_permissions:
        message = f"{key} has no ip_permissions, so that nothing may connect"
        raise InputError("accounts-security-group", message, fix="state the protocols and ports in ip_permissions")
    lists = [of(address_of(PREFIX_LIST.name, TRUSTED_LISTS[one], layout.region), "id") for one in trusted]
    rules = [
        one for number, permission in enumerate(group.ip_permissions)
        for one in _rules(permission, lists if group.allow_from_trusted else [], f"{key}.ip_permissions[{number}]")
    ]  # fmt: skip
    if len(rules) > _RULES_MAX:
        fix = "join networks, or move them to trusted_networks"
        raise InputError("accounts-security-group", f"{key} has more than {_RULES_MAX} rules", fix=fix)
    state: dict[str, Json] = {
        "tags": own_tags(name, {"Name": name}), "vpc": layout.vpc_id, "description": group.description,
        "ingress": grouped(rules),
    }  # fmt: skip
    return WantedResource(kind=SECURITY_GROUP, name=name, region=layout.region, state=state)


def _rules(permission: IpPermission, lists: Sequence[Json], key: str) -> Iterator[IngressRule]:
    made = rule(permission.ip_protocol, permission.from_port, permission.to_port, None)
    if made.protocol in WITH_PORTS:
        if made.from_port is None or made.to_port is None:
            fix = "state both; -1 is every type of icmp"
            raise InputError("accounts-ports", f"{key}: {made.protocol} needs from_port and to_port", fix=fix)
        if made.protocol in ("tcp", "udp") and not 0 <= made.from_port <= made.to_port:
            message = f"{key}: ports {made.from_port} to {made.to_port} are no range"
            raise InputError("accounts-ports", message, fix="write from_port: 0 and to_port: 65535 for all")
    sources = [*(_network(one, f"{key}.ip_ranges") for one in permission.ip_ranges), *lists]
    if not sources:
        message = f"{key} has no ip_ranges, so that nobody may connect"
        raise InputError("accounts-security-group", message, fix="state ip_ranges, or allow_from_trusted: true")
    for source in sources:
        yield made._replace(source=source)


def _trusted(account: ConfiguredAccount) -> dict[int, dict[str, Json]]:
    """Return the trusted networks with their names, by version of IP. Raises InputError."""
    key = f"accounts.{account.name}.trusted_networks"
    found: dict[int, dict[str, Json]] = {}
    for name, text in sorted(account.settings.trusted_networks.items()):
        network = _network(text, f"{key}.{name}")
        entries = found.setdefault(6 if ":" in network else 4, {})
        names = f"{entries[network]}, {name}" if network in entries else name
        entries[network] = names[:_DESCRIPTION_CHARACTERS_MAX]
    return {version: dict(sorted(found[version].items())) for version in sorted(found)}


def _check_autogeneration(account: ConfiguredAccount) -> None:
    config = account.settings.trusted_networks_config
    if config is not None and not config.disable_account_autogeneration:
        message = (
            f"accounts.{account.name}.trusted_networks_config.disable_account_autogeneration: "
            "addresses of other accounts are not looked up"
        )
        raise InputError("accounts-trusted-networks", message, fix="state their networks in trusted_networks")


def _network(text: str, key: str) -> str:
    """Return a network as AWS lists it: host bits are removed."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError as exc:
        raise InputError("accounts-network", f"{key}: {exc}"[:500], fix="write it as 198.51.100.0/24") from exc


STEP = AccountStep(
    name="security-groups", summary="security groups, and the trusted networks as a prefix list",
    kinds=(PREFIX_LIST, SECURITY_GROUP), wanted=wanted, stated=stated,
)  # fmt: skip
