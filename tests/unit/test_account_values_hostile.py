"""Values that AWS would never accept: each is refused before the first call, with its key."""

from __future__ import annotations

import pytest

from whence_aggregator.accounts.configuration.read import read_configuration
from whence_aggregator.accounts.planning import wanted_of
from whence_aggregator.accounts.resources import WantedResource
from whence_aggregator.accounts.steps.table import STEPS
from whence_common.errors import InputError

_HEAD = 'version: 11\nglobal:\n  regions: [eu-west-1]\naccounts:\n  one: {id: "111111111111", '
_NET = "vpc_net: {eu-west-1: {cidr: 10.1.0.0/16, "
_SUBNET = "{cidr: 10.1.0.0/20, type: dmz}"
REFUSED = {
    "a region in capitals": ("regions: [EU-WEST-1]", "one.regions[0]"),
    "a region that is a host": ('regions: ["evil.example.org/"]', "one.regions[0]"),
    "a region that is a path": ('regions: ["../../x"]', "one.regions[0]"),
    "a region with a line break": ('regions: ["eu-west-1\\n"]', "one.regions[0]"),
    "a region that is stated twice": ("regions: [eu-west-1, eu-west-1]", "one.regions: eu-west-1 is stated twice"),
    "regions of two partitions": ("regions: [eu-west-1, cn-north-1]", "one.regions: an account has regions of one"),
    "a thousand regions": (f"regions: [{', '.join(f'eu-west-{n}' for n in range(1000))}]", "one.regions"),
    "a role that is an ARN": ('access: {role: "arn:aws:iam::111111111111:role/x"}', "one.access.role"),
    "a role with a space": ('access: {role: "a b"}', "one.access.role"),
    "an alias with a line break": ('alias: "a\\nb"', "one.alias: 'a b' is not an alias"),
    "an alias in capitals": ("alias: Team", "one.alias: 'Team' is not an alias"),
    "an alias with two dashes": ("alias: a--b", "one.alias: 'a--b' is not an alias"),
    "an alias of two letters": ("alias: ab", "one.alias: 'ab' is not an alias"),
    "an alias that is too long": (f"alias: {'a' * 500}", "one.alias: 'aaa"),
    "an alias that moves the cursor": ('alias: "\\e]0;x\\a"', "control character"),
    "a network of no address": ("vpc_net: {eu-west-1: {cidr: 300.1.0.0/16}}", "vpc_net.eu-west-1.cidr: Octet 300"),
    "a network with host bits": ("vpc_net: {eu-west-1: {cidr: 10.1.2.3/16}}", "has host bits set"),
    "a network of IPv6": ('vpc_net: {eu-west-1: {cidr: "2001:db8::/32"}}', "Expected 4 octets"),
    "the whole internet": ("vpc_net: {eu-west-1: {cidr: 0.0.0.0/0}}", "AWS accepts no network of the size of 0.0.0.0/0"),
    "subnets that overlap": (
        f"{_NET}subnets: {{eu-west-1a: [{_SUBNET}, {{cidr: 10.1.8.0/21, type: internal}}]}}}}}}", "overlaps internal-eu-west-1a",
    ),
    "subnets of one name": (f"{_NET}subnets: {{eu-west-1a: [{_SUBNET}, {_SUBNET}]}}}}}}", "two subnets are named dmz-eu-west-1a"),
    "a subnet outside its VPC": (
        f"{_NET}subnets: {{eu-west-1a: [{{cidr: 10.2.0.0/20, type: dmz}}]}}}}}}", "is not in the network of the VPC",
    ),
    "a zone of another region": (f"{_NET}zones: [us-east-1a]}}}}", "us-east-1a is not a zone of the region"),
    "nine zones": (f"{_NET}zones: [{', '.join(f'eu-west-1{z}' for z in 'abcdefghi')}]}}}}", "vpc_net.eu-west-1.zones"),
    "a network of another region": ("vpc_net: {us-east-1: {cidr: 10.1.0.0/16}}", "the region is not configured"),
    "a flow log to a file": ('vpc: {flow_log_destinations: ["file:///etc/passwd"]}', "is no destination of flow logs"),
    "a flow log to no bucket": ('vpc: {flow_log_destinations: ["arn:aws:s3:::"]}', "is no destination of flow logs"),
    "a trusted network of no address": ("trusted_networks: {a: 1.2.3.4/33}", "trusted_networks.a: '1.2.3.4/33' does not"),
    "a trusted network that is a name": ("trusted_networks: {a: localhost}", "trusted_networks.a: 'localhost' does not"),
    "a bucket in capitals": ("s3_buckets: {a: {name: A_B}}", "'A_B' is not a bucket name"),
    "a bucket with a line break": ('s3_buckets: {a: {name: "ab\\ncd"}}', "is not a bucket name"),
    "a bucket that is configured twice": ("s3_buckets: {a: {name: abc, versioning: true}, b: {name: abc}}", "twice"),
    "a policy that is text": ("s3_buckets: {a: {name: abc, policy: {Statement: x}}}", "is not a list of mappings"),
    "rules that are a number": ("s3_buckets: {a: {name: abc, lifecycle_configuration: {Rules: 5}}}", "is not a list"),
    "an encryption without rules": ("s3_buckets: {a: {name: abc, encryption_config: {Rules: []}}}", "is not an encryption"),
    "a role with a line break": ('roles: {"a\\nb": {assume_role_policy: {}}}', "this name is not valid"),
    "a role that nobody may assume": ("roles: {a: {}}", "assume_role_policy is missing"),
    "a key with AWS's alias": ('kms: {"aws/x": {}}', "is not an alias of a key"),
    "a key policy that is a list of numbers": ("kms: {a: {key_policy: {Statement: [5]}}}", "key_policy is not a policy"),
    "a domain with an empty label": ("domain: a..b", "is not the name of a domain"),
    "a domain that is too long": (f"domain: {'a.' * 200}b", "is not the name of a domain"),
    "metadata of the metadata service": ('saml_providers: {a: "http://169.254.169.254/"}', "neither XML nor an https URL"),
    "metadata of a file": ('saml_providers: {a: "file:///etc/passwd"}', "neither XML nor an https URL"),
    "a mint bucket that everybody writes": (
        'mint_bucket: {writer: "arn:aws:iam::111111111111:root"}', "is not the ARN of a role",
    ),
    "a TTL that is no number": ("domain_soa_ttl: .nan", "domain_soa_ttl"),
    "a TTL without an end": ("domain_soa_ttl: .inf", "domain_soa_ttl"),
    "a TTL below zero": ("domain_soa_ttl: -1", "domain_soa_ttl"),
    "a TTL of 20 digits": ("domain_soa_ttl: 99999999999999999999", "domain_soa_ttl"),
    "a tag that is true": ("vpc: {tags: {a: yes}}", "vpc.tags.a: must be text, but is true or false"),
    "a tag without a name": ('vpc: {tags: {"": x}}', "this name is not valid"),
}  # fmt: skip


@pytest.mark.parametrize("about", REFUSED)
def test_it_is_refused_with_its_key_and_on_printable_lines(about: str) -> None:
    section, said = REFUSED[about]
    with pytest.raises(InputError) as caught:
        _read(section)
    assert said in caught.value.message
    assert caught.value.message.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "section",
    [
        "regions: [us-gov-east-1, us-gov-west-1]", "regions: [ap-southeast-5]", "regions: [us-iso-east-1]",
        "alias: a-b-c", "alias: abc", "alias: null", "access: {role: a/b_c+d=e@f}", "access: {role: }",
        f"{_NET}zones: [eu-west-1a, eu-west-1-ber-1a]}}}}",
    ],
)  # fmt: skip
def test_it_is_accepted(section: str) -> None:
    assert _read(section)


def _read(section: str) -> list[WantedResource]:
    (account,) = read_configuration(f"{_HEAD}{section}}}\n".encode(), name="a.yaml").accounts()
    return list(wanted_of(account, STEPS))
