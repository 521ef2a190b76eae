"""The keys of Seven Seconds' configuration, version 10, and what each means now.

The keys are those that sevenseconds 1.2.112 reads (cli.py, helper/auth.py, config/*.py), and those of its examples.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

KeyFate = Literal["acted", "mapped", "ignored", "refused"]
"""acted: the key is the same in version 11. mapped: another key is. ignored: accepted with a remark, since nothing that
it did is left to do. refused: the file must be changed, since what it asks for would silently not happen."""
FREE_BELOW = frozenset(("bastion.ami_config", "bastion.cf_template", "roles_simulator.*.*.simulation_options"))
"""Keys below these are not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key10:
    """One key. `name` is its path in a section; `*` is a name that the writer chooses, `[]` an item of a list."""

    name: str
    fate: KeyFate
    now: str
    """What it means now, or why it has no effect."""
    write: str = ""
    """What to write instead; empty where nothing need be changed."""


def _acted(now: str, *names: str) -> list[Key10]:
    return [Key10(name=name, fate="acted", now=now) for name in names]


def _ignored(now: str, *names: str, write: str = "remove it") -> list[Key10]:
    return [Key10(name=name, fate="ignored", now=now, write=write) for name in names]


_SAME = "the same"
_ROLE = "the tool assumes access.role in each account"
_BASTION = "there is no SSH bastion: Session Manager or EC2 Instance Connect reach instances"
_LIST_URL = "write id: in each account, list the organization (organizations:), or name a file of accounts"
_ACCESS = "write access: {role: …}"

_TABLE: tuple[Key10, ...] = (
    *_acted(_SAME, "regions", "domain", "domain_soa_ttl"),
    *_acted("the name of the account with the parent zone; its id must be known", "admin_account"),
    *_acted("the same; an account whose alias differs ends the run before any write", "alias"),
    *_ignored(_ROLE, "aws_credentials_service_url", write=_ACCESS),
    *_ignored(_ROLE, "aws_credentials_service_resources", "aws_credentials_service_resources.roles",
              "aws_credentials_service_resources.credentials", write=_ACCESS),
    *_ignored("ids of accounts are in the configuration, or come from AWS Organizations", "account_list_url",
              write=_LIST_URL),
    *_ignored("no token is read", "token_managed_id_key"),
    Key10(name="saml_admin_login_role", fate="mapped", now="access.role: the role that is assumed in each account",
          write="write access: {role: …}; its trust policy must allow sts:AssumeRole from the caller"),
    *_ignored("Seven Seconds did not read it either", "saml_identity_provider_url"),
    *_acted("the same; false: no trail in this account", "enable_cloudtrail"),
    *_acted("the same; trails of others are never deleted", "cloudtrail"),
    *_acted(_SAME, "cloudtrail.s3_bucket_name", "cloudtrail.s3_key_prefix", "cloudtrail.home_region"),
    *_acted("regions whose other trails are reported; they are never deleted", "cloudtrail.regions"),
    *_acted("the newest images of these names are shared with the account, unless they are public", "base_ami",
            "base_ami.account_name", "base_ami.default_channel", "base_ami.is_public", "base_ami.channels",
            "base_ami.owner_id"),
    *_acted(_SAME, "roles", "roles.*.drop", "roles.*.path", "roles.*.assume_role_policy", "roles.*.attached_policies"),
    *_acted("the inline policy named like the role; other inline policies are left alone", "roles.*.policy"),
    *_acted("the same: statements are added to the policy of a configured role", "additional_policies",
            "additional_policies[].role", "additional_policies[].statement"),
    *_acted("the same: policies are attached to a configured role", "additional_attached_policies",
            "additional_attached_policies[].role", "additional_attached_policies[].policies"),
    *_ignored("policies are not simulated; Seven Seconds only logged a result that differed", "roles_simulator",
              "roles_simulator.*.*.simulation_options", "roles_simulator.*.*.simulation_result",
              write="remove it; whence-accounts check-permissions reports what the caller may not do"),
    *_acted("the same; metadata that changes is updated too", "saml_providers"),
    *_acted(_SAME, "s3_buckets", "s3_buckets.*.name", "s3_buckets.*.regions", "s3_buckets.*.policy",
            "s3_buckets.*.lifecycle_configuration", "s3_buckets.*.encryption_config", "s3_buckets.*.tags",
            "s3_buckets.*.logging_target", "s3_buckets.*.logging_lifecycle_configuration"),
    *_acted("certificates, validated by DNS in the account's zone", "acm", "acm[].domain_name"),
    Key10(name="acm[].subject_alternative_names", fate="mapped", now="a list of names; no domain is written to"),
    *_ignored("certificates are validated by DNS, not by e-mail", "acm[].validation_domain"),
    *_acted(_SAME, "kms", "kms.*.drop", "kms.*.description", "kms.*.key_usage", "kms.*.key_policy", "kms.*.tags"),
    *_acted(_SAME, "ebs_encrypt_by_default"),
    *_acted("the same; {{ami_id}} and {{base_ami_config}} are refused: a VPC has no image", "vpc", "vpc.tags"),
    *_acted(_SAME, "vpc.flow_logs_retention_in_days"),
    *_acted("the same; the default VPC is never deleted", "vpc_net", "vpc_net.*.cidr", "vpc_net.*.subnets",
            "vpc_net.*.subnets.*[].cidr", "vpc_net.*.subnets.*[].type", "vpc_net.*.subnets.*[].tags"),
    *_acted("the same; NAT is a gateway, never an instance", "enable_nat"),
    *_ignored("NAT is a gateway, never an instance", "instance_type"),
    *_acted(_SAME, "enable_dedicated_dmz_route"),
    *_ignored(_BASTION, "bastion", "bastion.re_deploy", "bastion.version_url", "bastion.ami_config",
              "bastion.cf_template"),
    Key10(name="enable_odd", fate="refused", now=f"{_BASTION}; false is accepted",
          write="write enable_odd: false, or remove it"),
    *_acted(_SAME, "security_groups", "security_groups.*.ip_permissions",
            "security_groups.*.ip_permissions[].ip_protocol", "security_groups.*.ip_permissions[].from_port",
            "security_groups.*.ip_permissions[].to_port", "security_groups.*.ip_permissions[].ip_ranges",
            "security_groups.*.allow_from_trusted", "security_groups.*.description"),
    *_acted("the same: the networks of allow_from_trusted", "trusted_networks"),
    *_acted("accepted; no address is added from DNS names of bastions and NAT instances", "trusted_networks_config",
            "trusted_networks_config.disable_account_autogeneration"),
)  # fmt: skip

KEYS10 = {key.name: key for key in _TABLE}
EXTENSIONS = ("id", "access")
"""Keys of version 11 that a file of version 10 may have: it has no other place for them."""
IMPLIED: dict[str, Any] = {
    "vpc": {"endpoints": ["s3", "dynamodb", "kms"]},
    "enable_nat": True,
    "database_subnet_groups": True,
}
"""What Seven Seconds does in every region without a key, in keys of version 11 that do not do it by default."""
GLOBAL_ONLY = ("trusted_networks", "trusted_networks_config")
OPTIONS: dict[str, str] = {
    "SSLDIR": "no server certificate is uploaded to IAM; write acm: for certificates that AWS renews",
    "AWS_PROFILE": "write access: {role: null, profile: NAME} to use a profile's own credentials",
}
"""Environment variables of Seven Seconds, and what to do instead."""


def top_level() -> Iterator[str]:
    return (name for name in KEYS10 if not set(".[") & set(name))


def has_children(name: str) -> bool:
    return any(key.startswith((f"{name}.", f"{name}[")) for key in KEYS10)


def child(parent: str, name: str) -> str | None:
    """Return the path of a key below a known one, `*` for any name; None if there is no such key."""
    for path in (f"{parent}.{name}", f"{parent}.*") if parent else (name,):
        if path in KEYS10 or has_children(path):
            return path
    return None


def near(parent: str, name: str) -> str:
    """Return the fix for an unknown key: near names, else those that are known."""
    start = f"{parent}." if parent else ""
    names = list(dict.fromkeys(
        rest.partition(".")[0].partition("[")[0]
        for key in KEYS10 if key.startswith(start) and (rest := key[len(start):])
    ))  # fmt: skip
    names += EXTENSIONS if not parent else ()
    close = difflib.get_close_matches(name[:100], names, n=1)
    return f"did you mean {close[0]}?" if close else f"the keys here are: {', '.join(names)}"
