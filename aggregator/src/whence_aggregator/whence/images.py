"""whence images and whence attest: list the registry front's images, and sign an image's source in a build."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.whence.amis import attest_ami
from whence_aggregator.whence.attest import BUILDER, load_key, source_of_file, source_of_git
from whence_aggregator.whence.attest import attest as push_attestation
from whence_aggregator.whence.client import Client
from whence_aggregator.whence.output import (
    UNKNOWN,
    UNREACHABLE,
    USAGE,
    console,
    end,
    listed,
    listing,
    note,
    out,
    show_list,
)
from whence_aggregator.whence.picture import draw_image
from whence_common.errors import InputError, WhenceError


@click.command()
@click.argument("image", required=False)
@click.option("--team", help="Only images of this team.")
@click.option("--search", "text", help="Only images whose repository or tag contains this text.")
@click.option("--commit", help="Only images built from this commit, or one with this prefix.")
@click.option("--digest", help="Only this digest.")
@listing
@click.pass_obj
def images(
    client: Client, /, image: str | None, limit: int, everything: bool, as_json: bool, **filters: str | None
) -> None:
    """List the images in the registry front, or those of IMAGE: team/artifact, team/artifact:tag or …@sha256:….

    A single image is shown with the evidence of its source. Exits 4 if IMAGE is not found.
    """
    named, _, digest = (image or "").partition("@")
    repository, _, tag = named.partition(":")
    stated = {"repository": repository or None, "tag": tag or None, "digest": digest or None}
    wanted = {**filters, **{name: value for name, value in stated.items() if value is not None}}
    found = listed(client, "/v1/images", "images", wanted, None if everything else limit)
    if tag and not as_json:
        shown = [row for page in found.pages for row in page]
        for row in shown:
            draw_image(console(), row)
    else:
        if not as_json:
            found.pages = ([_with_commit(row) for row in page] for page in found.pages)
        columns = ("repository", "tag", "digest", "created_at", "created_by", "commit")
        show_list(found, "images", columns, as_json=as_json)
    if not found.rows and image is not None:
        end(f"not found: image {image!r}; write team/artifact:tag, without the host", UNKNOWN)


def _with_commit(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "commit": (row["source"] or {}).get("revision", "")}


@click.command()
@click.argument("image", metavar="IMAGE|FILE")
@click.option(
    "--scm-source",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="scm-source.json of the build.",
)
@click.option(
    "--git",
    "clone",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The clone that the image was built from.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The builder's private key, P-256 in PEM; an encrypted one is decrypted with WHENCE_KEY_PASSWORD.",
)
@click.option("--builder-id", default=BUILDER, show_default=True, help="The builder's id that the platform trusts.")
@click.option("--token-host", "token_hosts", multiple=True, help="Another host that may receive the login.")
@click.option("--allow-dirty", is_flag=True, help="Attest a working tree with uncommitted changes, marked as such.")
@click.option("--ami", "amis", multiple=True, help="FILE is the statement about this AMI, or REGION/AMI; repeat it.")
@click.option("--region", help="The region of AMIs that are written without one.")
@click.pass_obj
def attest(
    client: Client, /, image: str, file: Path | None, clone: Path | None, key: Path | None, builder_id: str,
    token_hosts: tuple[str, ...], allow_dirty: bool, amis: tuple[str, ...], region: str | None,
) -> None:  # fmt: skip
    """Sign the source that IMAGE was built from, and push it as a referrer: SLSA provenance v1 in a Sigstore bundle.

    Run it in the build after the push. The login is Docker's (config.json and credential helpers), or
    WHENCE_REGISTRY_TOKEN. Exits 2 if image, source or key are invalid, 3 if the registry refuses.

    With --ami, sign FILE, which packaging/ami/statement.py wrote, and send it to the aggregator. FILE may also be an
    envelope that is signed already, or the digest of a statement that is recorded, to name more AMIs. Exits 1 if
    another statement names the same AMI.
    """
    if amis:
        if file is not None or clone is not None:
            raise click.UsageError("--ami takes FILE alone: the statement names its source")
        attest_ami(client, image, amis, region, _key(key) if key is not None else None)
        return
    if key is None:
        raise click.UsageError("Missing option '--key'.")
    if (file is None) == (clone is None):
        raise click.UsageError("pass either --scm-source FILE or --git DIRECTORY")
    try:
        source = source_of_file(file) if file is not None else source_of_git(clone or Path())
        digest = push_attestation(
            image, source, _key(key), builder_id=builder_id, token_hosts=token_hosts,
            allow_dirty=allow_dirty, say=note,
        )  # fmt: skip
    except InputError as exc:
        end(exc.diagnostics(), USAGE)
    except (WhenceError, OSError) as exc:
        end(exc.diagnostics() if isinstance(exc, WhenceError) else str(exc), UNREACHABLE)
    out(digest + "\n")


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the builder's private key; end the program if it is unusable."""
    try:
        return load_key(path)
    except InputError as exc:
        end(exc.diagnostics(), USAGE)
    except OSError as exc:
        end(f"{path}: {exc.strerror}", USAGE)
