"""Machine images of another account, shared with this one."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_Pattern = Annotated[str, Meta(min_length=1, max_length=128)]
_Patterns = Annotated[tuple[_Pattern, ...], Meta(max_length=50)]
_ImageIds = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^ami-[0-9a-f]{8,17}$")], ...], Meta(max_length=200)
]  # fmt: skip
_ACCOUNT_ID = r"^[0-9]{12}$"
AccountNumber = Annotated[int, Meta(ge=1, le=999_999_999_999)]
"""An account's id that YAML reads as a number, as many files of version 10 have it."""


class BaseAmi(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base images of version 10. Used only where they are not public: their newest ones are shared."""

    account_name: Annotated[str | None, Meta(description="Name of the account that owns the images.")] = None
    default_channel: Annotated[_Pattern | None, Meta(description="Name of the images, with * and ?.")] = None
    is_public: Annotated[bool, Meta(description="Whether everybody may start the images: nothing is shared then.")] = (
        True
    )
    channels: Annotated[_Patterns, Meta(description="Names of further images.")] = ()
    owner_id: Annotated[
        Annotated[str, Meta(pattern=_ACCOUNT_ID)] | AccountNumber | None,
        Meta(description="Id of the account that owns the images, 12 digits in quotes."),
    ] = None


class AmiSharing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images that another account shares with this one."""

    owner_id: Annotated[
        str, Meta(pattern=_ACCOUNT_ID, description="Id of the account that owns the images, 12 digits in quotes.")
    ]
    names: Annotated[_Patterns, Meta(description="Names with * and ?; the newest image of each is shared.")] = ()
    image_ids: Annotated[
        dict[Annotated[str, Meta(max_length=40)], _ImageIds],
        Meta(description="Ids of images by region.", max_length=40),
    ] = {}
