"""fullstop.'s violation types as it shipped them. Severity is from 0, low, to 4; priority from 1, urgent. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class ShippedType(NamedTuple):
    """What fullstop. states of a type."""

    severity: int
    priority: int
    title: str
    help_text: str


SHIPPED_TYPES: Mapping[str, ShippedType] = MappingProxyType({
    "WRONG_AMI": ShippedType(3, 1, "Wrong AMI", "The instance runs an AMI that is not trusted."),
    "OUTDATED_TAUPAGE": ShippedType(2, 2, "Outdated Taupage AMI", "The instance runs an AMI that has expired."),
    "EC2_WITH_KEYPAIR": ShippedType(0, 4, "EC2 with keypair", "The instance was launched with a key pair."),
    "WRONG_REGION": ShippedType(1, 2, "Wrong region", "The resource is in a region that is not allowed."),
    "EC2_RUN_IN_PUBLIC_SUBNET": ShippedType(0, 4, "EC2 in public subnet", "The instance is in a public subnet."),
    "MISSING_USER_DATA": ShippedType(0, 3, "Missing user data", "The instance has no user data that can be read."),
    "MISSING_APPLICATION_ID_IN_USER_DATA": ShippedType(
        1, 2, "Application id missing", "The user data states no application_id."
    ),
    "MISSING_SOURCE_IN_USER_DATA": ShippedType(0, 4, "Source missing", "The user data states no source."),
    "APPLICATION_NOT_PRESENT_IN_KIO": ShippedType(
        1, 2, "Application not in Kio", "The application registry does not have the application."
    ),
    "IMAGE_IN_PIERONE_NOT_FOUND": ShippedType(
        2, 1, "Image not found", "The registry does not have the image, or the registry is not trusted."
    ),
    "SCM_SOURCE_JSON_MISSING": ShippedType(1, 2, "scm-source.json missing", "The image states no source."),
    "SCM_URL_IS_MISSING_IN_SCM_SOURCE_JSON": ShippedType(
        1, 2, "URL missing in scm-source", "The image's scm-source.json has no url."
    ),
    "ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY": ShippedType(
        3, 1, "Dirty build", "The image was built from files that are in no commit."
    ),
    "ILLEGAL_SCM_REPOSITORY": ShippedType(
        2, 2, "Illegal SCM repository", "The source is in a repository that is not allowed."
    ),
    "SCM_URL_IS_MISSING_IN_KIO": ShippedType(0, 2, "SCM URL missing in Kio", "The application has no scm_url."),
    "SCM_URL_NOT_MATCH_WITH_KIO": ShippedType(
        0, 2, "SCM URL differs from Kio", "The image's source is not the repository of its application."
    ),
    "EC2_WITH_A_SNAPSHOT_IMAGE": ShippedType(
        2, 1, "Mutable image", "What runs can change without a change of the user data."
    ),
    "MODIFIED_ROLE_OR_SERVICE": ShippedType(1, 2, "Modified role", "A role differs from its template."),
    "LAMBDA_FUNCTION_CREATED_FROM_UNTRUSTED_LOCATION": ShippedType(
        1, 1, "Lambda from untrusted place", "The function's code is from a bucket that is not trusted."
    ),
    "UNSECURED_PUBLIC_ENDPOINT": ShippedType(
        4, 1, "Unsecured public endpoint", "An endpoint is public and asks nobody to sign in."
    ),
    "ACTIVE_KEY_TOO_OLD": ShippedType(1, 2, "Access key too old", "An active access key is older than 30 days."),
    "PASSWORD_USED": ShippedType(1, 1, "Password used", "An IAM user has a password."),
    "UNSECURED_ROOT_USER": ShippedType(4, 1, "Unsecured root user", "The root user has no MFA, or has keys."),
    "CROSS_ACCOUNT_ROLE": ShippedType(0, 4, "Cross-account role", "A role trusts another account."),
    "MISSING_VERSION_APPROVAL": ShippedType(1, 1, "Approval missing", "The version has too few approvals."),
    "APPLICATION_VERSION_NOT_PRESENT_IN_KIO": ShippedType(
        2, 1, "Version not in Kio", "The application registry does not have the version."
    ),
    "APPLICATION_VERSION_DOES_NOT_HAVE_A_VALID_ARTIFACT": ShippedType(
        1, 4, "Artifact of version invalid", "The artifact of the version is not what runs."
    ),
    "MISSING_APPLICATION_VERSION_IN_USER_DATA": ShippedType(
        1, 2, "Application version missing", "The user data states no application_version."
    ),
    "SPEC_URL_IS_MISSING_IN_KIO": ShippedType(
        0, 3, "Specification URL missing", "The application has no specification_url."
    ),
    "SPEC_TYPE_IS_MISSING_IN_KIO": ShippedType(
        0, 3, "Specification type missing", "The application has no specification_type."
    ),
    "MISSING_SPEC_LINKS": ShippedType(2, 2, "Commit without ticket", "A commit that runs names no ticket."),
})  # fmt: skip
"""By id. Titles have at most 32 characters."""
