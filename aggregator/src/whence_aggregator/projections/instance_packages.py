"""Projection of what agents state of their image, and of packages that differ from it."""

from __future__ import annotations

from collections.abc import Iterable

from whence_aggregator.projections.known import KnownInstance
from whence_aggregator.queries.amis import (
    DROP_INSTANCE_PACKAGES,
    PUT_INSTANCE_IMAGE,
    PUT_INSTANCE_PACKAGE,
    DropInstancePackagesParameters,
    PutInstanceImageParameters,
    PutInstancePackageParameters,
)
from whence_aggregator.queries.query import BoundCommand


def image_writes(moved: Iterable[KnownInstance]) -> list[BoundCommand]:
    """Return the writes of the newest statements; none if no agent states its image."""
    images: list[PutInstanceImageParameters] = []
    packages: list[PutInstancePackageParameters] = []
    for one in moved:
        if one.newest is None or one.newest.stated.ami is None:
            continue
        index, ami = one.newest.ledger_index, one.newest.stated.ami
        images.append(
            {
                "instance": one.number, "ledger_index": index, "digest": ami.digest, "name": ami.name,
                "packages_digest": ami.packages_digest, "differing": ami.differing, "listed": len(ami.packages),
                "unread": ami.unread,
            }
        )  # fmt: skip
        packages += [
            {
                "instance": one.number, "name": name, "architecture": architecture, "version": version,
                "ledger_index": index,
            }
            for name, architecture, version in ami.packages
        ]  # fmt: skip
    if not images:
        return []
    earlier: list[DropInstancePackagesParameters] = [
        {"instance": one["instance"], "ledger_index": one["ledger_index"]} for one in images
    ]
    # inserts may run first, whatever their place: rows of earlier statements are recognised by their entry
    return [
        PUT_INSTANCE_IMAGE.bind(images),
        PUT_INSTANCE_PACKAGE.bind(packages),
        DROP_INSTANCE_PACKAGES.bind(earlier),
    ]
