"""What the two Debian packages are: the commands they give, their files, and what they need.

scripts/ has what is done when they are installed, upgraded, removed and purged.
"""

from __future__ import annotations

from dataclasses import dataclass

MAINTAINER = "The Whence developers <whence@example.org>"
_UNITS = "usr/lib/systemd/system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package. `part` is the project's folder, `commands` are module and parser by name."""

    name: str
    part: str
    commands: dict[str, tuple[str, str]]
    botocore: tuple[str, ...]
    """botocore describes every service of AWS, 27 MB of them; these are spoken to."""
    files: tuple[tuple[str, str], ...]
    """(file of the repository, folder that it goes to)."""
    private: tuple[str, ...] = ()
    """Folders that only root enters."""
    depends: str
    """Beside what both packages need."""
    relations: str
    """Weaker relations to other packages, as fields."""
    description: str

    @property
    def home(self) -> str:
        """The folder that holds its environment."""
        return f"/usr/lib/{self.name}"


AGENT = Package(
    name="whence-agent",
    part="agent",
    commands={"whence-agent": ("whence_agent.cli", "make_parser")},
    botocore=(
        "autoscaling", "cloudformation", "cloudwatch", "ec2", "ecr", "elb", "elbv2",
        "kms", "s3", "secretsmanager", "ssm", "sts",
    ),
    files=(
        ("systemd/whence-agent.service", _UNITS),
        ("systemd/whence-disks.socket", _UNITS),
        ("systemd/whence-disks@.service", _UNITS),
        ("systemd/whence-machine.socket", _UNITS),
        ("systemd/whence-machine@.service", _UNITS),
        ("systemd/whence-shutdown.service", _UNITS),
        ("systemd/sysusers.d/whence-agent.conf", "usr/lib/sysusers.d"),
        ("systemd/tmpfiles.d/whence-agent.conf", "usr/lib/tmpfiles.d"),
        ("packaging/settings/agent.sample.yaml", "etc/whence"),
        ("agent/README.md", "usr/share/doc/whence-agent"),
    ),
    depends="systemd-sysv, init-system-helpers (>= 1.54), mount",
    relations="""Recommends: docker.io | docker-ce | moby-engine, e2fsprogs
Suggests: mdadm, xfsprogs, logrotate, tini
""",
    description="""Description: boots an EC2 instance from its user data and reports what runs there
 Validates the user data, pulls only immutable images, keeps the application's
 credentials, runs its container, and reports, signed, where it all comes from.
""",
)  # fmt: skip

AGGREGATOR = Package(
    name="whence-aggregator",
    part="aggregator",
    commands={
        "whence-aggregator": ("whence_aggregator.cli", "make_parser"),
        "whence": ("whence_aggregator.whence.cli", "whence"),
        "whence-accounts": ("whence_aggregator.accounts_command.cli", "accounts"),
    },
    botocore=(
        "acm", "budgets", "cloudtrail", "config", "ec2", "ecr", "elasticache", "guardduty", "iam", "kms", "logs",
        "organizations", "rds", "resourcegroupstaggingapi", "route53", "s3", "s3control", "service-quotas", "sns",
        "sqs", "sts",
    ),
    files=(
        ("systemd/whence-aggregator.service", _UNITS),
        ("systemd/whence-registry.service", _UNITS),
        ("systemd/whence-mint.service", _UNITS),
        ("systemd/whence-witness.service", _UNITS),
        ("packaging/settings/aggregator.sample.yaml", "etc/whence"),
        ("packaging/settings/witness.sample.yaml", "etc/whence"),
        ("aggregator/README.md", "usr/share/doc/whence-aggregator"),
    ),
    private=("etc/whence/credentials",),
    depends="git",
    relations="""Recommends: openssh-client, gnupg
Suggests: postgresql, docker-registry
""",
    description="""Description: keeps what instances say in a tamper-evident ledger and traces it
 Takes signed statements from whence-agent, collects what registries, Git
 servers and the EC2 API know, and answers where what runs came from. Also the
 command whence, whence-accounts, which configures AWS accounts, the registry
 front and the witness.
""",
)  # fmt: skip
PACKAGES = (AGENT, AGGREGATOR)
