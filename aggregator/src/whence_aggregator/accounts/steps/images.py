"""Permissions to start another account's images: added where they lack, and never taken away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError

LAUNCH_PERMISSION = ResourceKind(
    name="launch_permission", step="images", is_regional=True, is_setting=True,
    reads=("ec2:DescribeImages", "ec2:DescribeImageAttribute"), writes=("ec2:ModifyImageAttribute",),
)  # fmt: skip
"""Named OWNER_ACCOUNT_ID/IMAGE, an id or a name with wildcards. Reads and writes in the owner's account."""


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    names = {
        (region, f"{owner}/{image}")
        for region in account.regions
        for owner, image in (*_base(account), *_shared(account, region)) if owner != account.account_id
    }  # fmt: skip
    return [
        WantedResource(kind=LAUNCH_PERMISSION, name=name, region=region, state={"shared": True})
        for region, name in sorted(names)
    ]


def _base(account: ConfiguredAccount) -> Iterator[tuple[str, str]]:
    base = account.settings.base_ami
    if base is None or base.is_public or base.account_name == account.name:
        return
    names = dict.fromkeys(filter(None, (base.default_channel, *base.channels)))
    if base.owner_id is None and names:
        message = (
            f"accounts.{account.name}.base_ami: the images are not public, and owner_id does not say whose they are"
        )
        fix = "write owner_id: the id of the account that owns them, 12 digits in quotes"
        raise InputError("accounts-image-owner", message, fix=fix)
    for name in names:
        yield f"{int(base.owner_id or 0):012}", name


def _shared(account: ConfiguredAccount, region: str) -> Iterator[tuple[str, str]]:
    sharing = account.settings.ami_sharing
    if sharing is None:
        return
    if unknown := sorted(set(sharing.image_ids) - set(account.regions)):
        message = f"accounts.{account.name}.ami_sharing.image_ids: {', '.join(unknown)} is not among the regions"
        raise InputError("accounts-image-region", message, fix="add it to the account's regions, or remove the images")
    for image in (*sharing.names, *sharing.image_ids.get(region, ())):
        yield sharing.owner_id, image


def stated(found: FoundAccount) -> StatedSection:
    """Return the images of the one account that shares some with this one, by their ids; name them where several do."""
    by_owner: dict[str, dict[str, list[str]]] = {}
    for one in found.of(LAUNCH_PERMISSION.name):
        owner, _, image = one.name.partition("/")
        by_owner.setdefault(owner, {}).setdefault(str(one.region), []).append(image)
    if len(by_owner) == 1 and found.is_read(LAUNCH_PERMISSION.name):
        ((owner, images),) = by_owner.items()
        ids: Json = {region: sorted(each) for region, each in sorted(images.items())}
        return StatedSection(section={"ami_sharing": {"owner_id": owner, "image_ids": ids}})
    text = "{} of account {} in {}: a configuration states images of one account"
    notes = [
        ImportNote(key="ami_sharing", text=text.format(", ".join(sorted(images)), owner, region))
        for owner, regions in by_owner.items() for region, images in regions.items()
    ]  # fmt: skip
    return StatedSection(notes=tuple(notes) if len(by_owner) > 1 else ())


STEP = AccountStep(
    name="images", summary="images of another account that are shared", kinds=(LAUNCH_PERMISSION,), wanted=wanted,
    stated=stated,
)  # fmt: skip
