"""whence images and whence attest: what the registry front holds, and how a build signs where an image is from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

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
@click.option("--search", "text", help="Only where this stands in the repository's name or the tag.")
@click.option("--commit", help="Only images built from this commit, or one that begins so.")
@click.option("--digest", help="Only this digest.")
@listing
@click.pass_obj
def images(
    client: Client, /, image: str | None, limit: int, everything: bool, as_json: bool, **filters: str | None
) -> None:
    """List the images in the registry front, or those of IMAGE: team/artifact, team/artifact:tag or …@sha256:….

    One image is shown with all that is known of its source. Exits 4 when IMAGE is given and there is none.
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
        end(f"the registry has no image {image!r}: name it team/artifact:tag, without the host", UNKNOWN)


def _with_commit(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "commit": (row["source"] or {}).get("revision", "")}


@click.command()
@click.argument("image")
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
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The builder's private key, P-256 in PEM; WHENCE_KEY_PASSWORD opens an encrypted one.",
)
@click.option("--builder-id", default=BUILDER, show_default=True, help="Who built it, as the platform trusts it.")
@click.option("--token-host", "token_hosts", multiple=True, help="Another host that may see the sign-in.")
@click.option("--allow-dirty", is_flag=True, help="Attest also a tree with changes that are in no commit, as such.")
def attest(
    image: str, file: Path | None, clone: Path | None, key: Path, builder_id: str, token_hosts: tuple[str, ...],
    allow_dirty: bool,
) -> None:  # fmt: skip
    """Sign where IMAGE was built from, and push that beside it as a referrer: SLSA provenance v1 in a Sigstore bundle.

    Run it in the build after the push. The sign-in is Docker's (its config.json and helpers), or WHENCE_REGISTRY_TOKEN.
    Exits 2 when the image, the source or the key cannot be used, 3 when the registry refuses.
    """
    if (file is None) == (clone is None):
        raise click.UsageError("give one of --scm-source FILE and --git DIRECTORY")
    try:
        source = source_of_file(file) if file is not None else source_of_git(clone or Path())
        digest = push_attestation(
            image, source, load_key(key), builder_id=builder_id, token_hosts=token_hosts,
            allow_dirty=allow_dirty, say=note,
        )  # fmt: skip
    except InputError as exc:
        end(exc.diagnostics(), USAGE)
    except (WhenceError, OSError) as exc:
        end(exc.diagnostics() if isinstance(exc, WhenceError) else str(exc), UNREACHABLE)
    out(digest + "\n")
