"""What an agent states of its machine's image: its statement, and the packages that differ from it. Pure."""

from __future__ import annotations

import msgspec


class PackageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A Debian package whose version on the machine differs from the image's; an empty version: not installed."""

    name: str
    architecture: str
    image: str
    machine: str


class AmiFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The statement that the machine's image names, and how the machine's packages differ from the image's."""

    statement_digest: str
    """Digest of the statement about the image."""
    name: str
    packages_digest: str = ""
    """Digest of the packages on the machine, by `installed_packages.packages_digest`; empty if they were not read."""
    differing: int = 0
    """How many packages differ; `differences` may have fewer."""
    differences: list[PackageFacts] = msgspec.field(default_factory=list)
    unread: str = ""
    """Why the packages were not read; empty if they were."""
