"""Subnet groups of RDS and ElastiCache in the query protocol, in place of moto's.

moto 5.2.5 forgets a group of RDS when it is modified, and can neither modify nor delete one of ElastiCache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

from fakes.aws_refusals import refused
from fakes.counted_aws import AwsCall, CountedAws

_SERVICES = {"rds": ("DBSubnetGroup", "DBSubnetGroupArn"), "elasticache": ("CacheSubnetGroup", "ARN")}


@dataclass
class Group:
    description: str
    subnets: list[str]
    tags: dict[str, str]


@dataclass
class SubnetGroups:
    """The groups of one service by name. `vpc_of` returns the VPC of a subnet."""

    service: str
    vpc_of: Callable[[str], str]
    groups: dict[str, Group] = field(default_factory=dict)

    def answer_for(self, aws: CountedAws) -> None:
        """Answer the calls about subnet groups in moto's place."""
        aws.extensions.update({f"{self.service}:{action}": answer for action, answer in self.answers.items()})

    @property
    def answers(self) -> Mapping[str, Callable[[AwsCall], web.Response]]:
        """The answers by action."""
        name = self._prefix
        return {
            f"Create{name}": self._create, f"Describe{name}s": self._describe, f"Modify{name}": self._modify,
            f"Delete{name}": self._delete, "ListTagsForResource": self._tags, "AddTagsToResource": self._add_tags,
        }  # fmt: skip

    @property
    def _prefix(self) -> str:
        return _SERVICES[self.service][0]

    def _create(self, call: AwsCall) -> web.Response:
        name = call.form[f"{self._prefix}Name"]
        if name in self.groups:
            return refused(call, f"{self._prefix}AlreadyExists", f"{name} exists")
        self.groups[name] = Group(call.form[f"{self._prefix}Description"], _subnets(call), _tags(call))
        return _answer(call, self._one(name))

    def _describe(self, call: AwsCall) -> web.Response:
        return _answer(call, f"<{self._prefix}s>{''.join(map(self._one, self.groups))}</{self._prefix}s>")

    def _modify(self, call: AwsCall) -> web.Response:
        name = call.form[f"{self._prefix}Name"]
        if name not in self.groups:
            return refused(call, f"{self._prefix}NotFoundFault", f"{name} does not exist", status=404)
        self.groups[name].subnets = _subnets(call)
        return _answer(call, self._one(name))

    def _delete(self, call: AwsCall) -> web.Response:
        del self.groups[call.form[f"{self._prefix}Name"]]
        return _answer(call, "")

    def _tags(self, call: AwsCall) -> web.Response:
        tags = self.groups[call.form["ResourceName"].rpartition(":")[2]].tags
        items = "".join(
            f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>" for key, value in tags.items()
        )
        return _answer(call, f"<TagList>{items}</TagList>")

    def _add_tags(self, call: AwsCall) -> web.Response:
        self.groups[call.form["ResourceName"].rpartition(":")[2]].tags |= _tags(call)
        return _answer(call, "")

    def _one(self, name: str) -> str:
        prefix, arn = _SERVICES[self.service]
        group = self.groups[name]
        subnets = "".join(f"<Subnet><SubnetIdentifier>{one}</SubnetIdentifier></Subnet>" for one in group.subnets)
        return (
            f"<{prefix}><{prefix}Name>{name}</{prefix}Name>"
            f"<{prefix}Description>{escape(group.description)}</{prefix}Description>"
            f"<VpcId>{self.vpc_of(group.subnets[0])}</VpcId><Subnets>{subnets}</Subnets>"
            f"<{arn}>arn:aws:{self.service}:eu-west-1:123456789012:subgrp:{name}</{arn}></{prefix}>"
        )


def answer_for_all(aws: CountedAws, service: str, vpc_of: Callable[[AwsCall, str], str]) -> None:
    """Answer the calls about subnet groups of every account and region, each with groups of its own."""
    known: dict[tuple[str, str], SubnetGroups] = {}

    def answer(call: AwsCall) -> web.Response:
        place = (call.account_id, call.region)
        groups = known.setdefault(place, SubnetGroups(service, lambda subnet: vpc_of(call, subnet)))
        return groups.answers[call.action](call)

    actions = SubnetGroups(service, str).answers
    aws.extensions.update({f"{service}:{action}": answer for action in actions})


def _answer(call: AwsCall, inner: str) -> web.Response:
    text = (
        f"<{call.action}Response><{call.action}Result>{inner}</{call.action}Result>"
        f"<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{call.action}Response>"
    )
    return web.Response(text=text, content_type="text/xml")


def _subnets(call: AwsCall) -> list[str]:
    return [value for name, value in call.form.items() if name.startswith("SubnetIds.SubnetIdentifier.")]


def _tags(call: AwsCall) -> dict[str, str]:
    keys = [name for name in call.form if name.startswith("Tags.Tag.") and name.endswith(".Key")]
    return {call.form[name]: call.form[name.removesuffix("Key") + "Value"] for name in keys}
