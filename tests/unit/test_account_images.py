"""What the step images wants of an account's configuration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.steps import images
from whence_common.errors import InputError

_OWNER = "012345678901"


def _wanted(*regions: str, **settings: Any) -> list[str]:
    section = {"id": "123456789012", "regions": regions or ["eu-west-1"], **settings}
    account = ConfiguredAccount(
        name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings)
    )
    return [one.address for one in images.wanted(account)]


def test_an_account_without_images_wants_no_permission() -> None:
    assert _wanted() == []


def test_names_are_shared_in_all_regions_and_ids_in_their_own() -> None:
    sharing = {"owner_id": _OWNER, "names": ["base-*"], "image_ids": {"eu-west-1": ["ami-12345678"]}}
    assert _wanted("eu-west-1", "eu-central-1", ami_sharing=sharing) == [
        f"eu-central-1/launch_permission/{_OWNER}/base-*",
        f"eu-west-1/launch_permission/{_OWNER}/ami-12345678",
        f"eu-west-1/launch_permission/{_OWNER}/base-*",
    ]


@pytest.mark.parametrize("owner", [_OWNER, 12345678901])
def test_base_images_of_version_10_that_are_not_public_are_shared(owner: str | int) -> None:
    base = {
        "account_name": "images", "default_channel": "stable-*", "channels": ["dev-*", "stable-*"], "is_public": False,
        "owner_id": owner,
    }  # fmt: skip
    assert _wanted(base_ami=base) == [
        f"eu-west-1/launch_permission/{_OWNER}/dev-*", f"eu-west-1/launch_permission/{_OWNER}/stable-*",
    ]  # fmt: skip


def test_public_base_images_are_not_shared() -> None:
    assert _wanted(base_ami={"account_name": "images", "default_channel": "stable-*", "is_public": True}) == []


def test_the_owner_of_the_images_needs_no_permission() -> None:
    base = {"default_channel": "stable-*", "is_public": False, "owner_id": "123456789012"}
    assert _wanted(base_ami=base, ami_sharing={"owner_id": "123456789012", "names": ["x"]}) == []
    assert _wanted(base_ami={"account_name": "hello", "default_channel": "stable-*", "is_public": False}) == []


def test_base_images_of_an_unknown_owner_are_refused() -> None:
    base = {"account_name": "images", "default_channel": "stable-*", "is_public": False}
    with pytest.raises(InputError, match=r"accounts\.hello\.base_ami: the images are not public") as refused:
        _wanted(base_ami=base)
    assert refused.value.fix.startswith("write owner_id:")


def test_images_of_a_region_that_is_not_configured_are_refused() -> None:
    sharing = {"owner_id": _OWNER, "image_ids": {"us-east-1": ["ami-12345678"]}}
    with pytest.raises(InputError, match=r"ami_sharing\.image_ids: us-east-1 is not among"):
        _wanted(ami_sharing=sharing)


@pytest.mark.parametrize(
    "sharing", [{"names": ["x"]}, {"owner_id": "1", "names": ["x"]}, {"owner_id": _OWNER, "names": [""]},
                {"owner_id": _OWNER, "image_ids": {"eu-west-1": ["i-12345678"]}}, {"owner_id": _OWNER, "image": "x"}],
)  # fmt: skip
def test_a_section_of_another_shape_is_refused(sharing: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        _wanted(ami_sharing=sharing)
