"""All that moto lacks of the calls of the account tool, answered by the fakes of each topic."""

from __future__ import annotations

from fakes.aws_defaults import Ec2Defaults
from fakes.counted_aws import CountedAws


def speak_what_moto_lacks(aws: CountedAws) -> None:
    """Answer in moto's place what it does not know."""
    Ec2Defaults().install(aws)
