"""Certificates of AWS Certificate Manager."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

CertificateName = Annotated[str, Meta(min_length=1, max_length=500)]


class CertificateSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One certificate, requested in every region."""

    domain_name: Annotated[
        str, Meta(min_length=1, max_length=500, description="First name; `*.` in front is a wildcard.")
    ]
    subject_alternative_names: Annotated[
        dict[CertificateName, CertificateName | None] | tuple[CertificateName, ...],
        Meta(description="Further names: a list, or the keys of a map as in version 10."),
    ] = ()
    method: Annotated[
        Literal["dns", "email"], Meta(description="How ACM validates the names; only dns is supported.")
    ] = "dns"
    validation_domain: Annotated[
        str | None, Meta(description="Domain of the e-mail validation of version 10; not used with dns.")
    ] = None

    @property
    def other_names(self) -> tuple[str, ...]:
        return tuple(self.subject_alternative_names)
