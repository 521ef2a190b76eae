"""Settings of the registry front."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.settings.places import wrong_hosts
from whence_common.identifiers import REGION, ROLE_ARN
from whence_common.image_reference import is_repository_path


class RegistryFrontSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Pier One front: an immutable registry on top of any OCI registry."""

    name: str
    """The host, with its port, that image names begin with: pierone.example.org."""
    backend: str
    """URL of the registry behind; its path is prefixed to each repository (a Harbor project, for example)."""
    backend_login_file: str | None = None
    """File with USER:PASSWORD for it, or Docker's config.json; read again when it changes."""
    backend_ecr_region: str | None = None
    """The backend is ECR in this region; its passwords are renewed before they expire."""
    backend_ecr_role_arn: str | None = None
    """Role that is assumed for ECR's password."""
    backend_token_hosts: list[str] = []
    """Hosts, besides the backend's own, that may receive its credentials and return a token."""
    backend_blob_hosts: list[str] = []
    """Hosts with private addresses that the backend's blobs may be redirected to."""
    url: str | None = None
    """The URL by which clients reach the front; None: the Host header of each request."""
    listen_address: str = "127.0.0.1"
    listen_port: int = 7382
    """Where `whence-aggregator registry` listens when the front runs alone."""
    alone: bool = False
    """`serve` leaves the front to `whence-aggregator registry`."""
    public_read: bool = False
    pulls: Literal["any", "own-teams"] = "any"
    """What instances may pull: the images of every team, or of the teams that own or may use their account."""
    shared_teams: list[str] = []
    """Teams whose images every instance may pull even with `pulls: own-teams`."""
    owners_seconds_max: float = 86_400.0
    """How long after its source was last read the owner of an account counts, with `pulls: own-teams`."""
    snapshots: bool = True
    """Tags that end in -SNAPSHOT may be pushed again with other bytes."""
    scratch_teams: list[str] = []
    """Teams whose tags may move and be deleted; their images are not traceable by tag."""
    insecure_open_scratch: bool = False
    """Anonymous callers may push and pull for the scratch teams: for experiments on a private network."""
    signature_tags_move: bool = False
    """cosign's tags `sha256-<hex>.sig` and `.att` may be written again, as cosign does for a second signer."""
    scm_source_required: bool = False
    """Refuse images without a complete scm-source.json; other artifacts need none."""
    blob_bytes_max: int = 10 * 1024**3
    unlisted_seconds_max: float = 86_400.0
    """How long after its enrolment an instance that no listing shows receives pull tokens without a proof by STS."""
    identity_documents: bool = False
    """Instances may pull by their identity document alone, as at Pier One: so may anyone who has a copy of one."""
    identity_document_seconds_max: float = 3600.0
    """How old such a document may be, by its pendingTime."""


def wrong_in_front(front: RegistryFrontSettings) -> list[str]:
    """Return what is wrong with values of the right type; each problem begins with its setting."""
    wrong = []
    if not re.fullmatch(r"[a-z0-9.-]{1,253}(:[0-9]{1,5})?", front.name):
        wrong.append("registry_front.name must be a host in lower-case letters, with its port where clients use one")
    for place in ("backend", "url"):
        url = getattr(front, place)
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            wrong.append(f"registry_front.{place} must be an http or https URL")
    if front.backend_login_file is not None and front.backend_ecr_region is not None:
        wrong.append("registry_front.backend_login_file and backend_ecr_region exclude each other")
    if front.backend_ecr_role_arn is not None and front.backend_ecr_region is None:
        wrong.append("registry_front.backend_ecr_role_arn needs backend_ecr_region")
    if front.backend_ecr_role_arn is not None and not ROLE_ARN.match(front.backend_ecr_role_arn):
        wrong.append("registry_front.backend_ecr_role_arn is not an ARN of a role")
    wrong += wrong_hosts(
        "registry_front", [*front.backend_token_hosts, *front.backend_blob_hosts],
        "backend_token_hosts or backend_blob_hosts",
    )  # fmt: skip
    if front.backend_ecr_region is not None and not REGION.match(front.backend_ecr_region):
        wrong.append("registry_front.backend_ecr_region is not a region")
    wrong += [f"registry_front.scratch_teams: {one!r} is not a team" for one in front.scratch_teams
              if not is_repository_path(one) or "/" in one]  # fmt: skip
    wrong += _wrong_in_pulls(front)
    if not 0 <= front.listen_port < 65536:
        wrong.append("registry_front.listen_port must be from 0 (any free port) to 65535")
    if not 60 <= front.unlisted_seconds_max <= 10 * 366 * 86_400:
        wrong.append("registry_front.unlisted_seconds_max must be from 60 to 316224000")
    if not 60 <= front.identity_document_seconds_max <= 366 * 86_400:
        wrong.append("registry_front.identity_document_seconds_max must be from 60 to 31622400")
    if front.blob_bytes_max < 1024 * 1024:
        wrong.append("registry_front.blob_bytes_max must be at least 1048576")
    return wrong


def _wrong_in_pulls(front: RegistryFrontSettings) -> list[str]:
    wrong = [f"registry_front.shared_teams: {one!r} is not a team" for one in front.shared_teams
              if not is_repository_path(one) or "/" in one]  # fmt: skip
    if front.shared_teams and front.pulls == "any":
        wrong.append("registry_front.shared_teams needs registry_front.pulls: own-teams")
    if front.public_read and front.pulls == "own-teams":
        wrong.append("registry_front.pulls: own-teams has no effect with public_read: every client may pull")
    if not 60 <= front.owners_seconds_max <= 30 * 86_400:
        wrong.append("registry_front.owners_seconds_max must be from 60 to 2592000")
    return wrong
