"""The file in an image by which its machines know their statement: what was installed when the image was built. Pure.

`/usr/share/whence/image.json`: `{"version": 1, "name": …, "statement_digest": "sha256:…", "packages": [[name,
architecture, version], …]}`, Debian packages only. It is not part of the root's manifest, because it names the
statement, which names that manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from whence_common.ami_facts import AmiFacts, PackageFacts
from whence_common.ami_provenance import AMI_NAME
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError
from whence_common.installed_packages import (
    PACKAGES_MAX,
    InstalledPackage,
    is_architecture,
    is_package_name,
    is_package_version,
    packages_digest,
)

AMI_FILE_PATH = "usr/share/whence/image.json"
AMI_FILE_BYTES_MAX = 2 * 1024 * 1024
DIFFERENCES_MAX = 200
"""The differences that a statement has room for; their number is stated beside them."""
_FIX = f"build the image with packaging/ami/statement.py, which writes /{AMI_FILE_PATH}"


class AmiFileInvalid(InputError):
    """The file is not one that packaging/ami/statement.py wrote."""


class AmiFile(msgspec.Struct, frozen=True, kw_only=True):
    """The statement of this machine's image, and the packages that it had."""

    version: int = 1
    name: str
    statement_digest: str
    packages: list[tuple[str, str, str]]

    def to_wire(self) -> bytes:
        """Return the file's bytes, the same for the same packages."""
        return msgspec.json.encode(self, order="deterministic") + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> AmiFile:
        """Parse the file. Raises AmiFileInvalid."""
        try:
            found = msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise AmiFileInvalid("ami-file-malformed", f"/{AMI_FILE_PATH} is malformed", fix=_FIX) from exc
        keys = {(name, architecture) for name, architecture, _ in found.packages}
        well_formed = all(
            is_package_name(name) and is_architecture(architecture) and is_package_version(version)
            for name, architecture, version in found.packages
        )
        if (
            found.version != 1
            or not is_sha256_digest(found.statement_digest)
            or AMI_NAME.match(found.name) is None
            or not well_formed
            or len(keys) != len(found.packages)
            or len(keys) > PACKAGES_MAX
        ):
            raise AmiFileInvalid("ami-file-malformed", f"/{AMI_FILE_PATH} is malformed", fix=_FIX)
        return found


def ami_facts(image: AmiFile, now: Sequence[InstalledPackage]) -> AmiFacts:
    """Return what an agent states: the image's statement, and the packages that differ from the image's."""
    before = {(name, architecture): version for name, architecture, version in image.packages}
    differences = _differences(before, {one.key: one.version for one in now})
    return AmiFacts(
        statement_digest=image.statement_digest,
        name=image.name,
        packages_digest=packages_digest(now),
        differing=len(differences),
        differences=_first(differences),
    )


def unread_ami_facts(image: AmiFile, reason: str) -> AmiFacts:
    """Return what an agent states if it cannot read the machine's packages."""
    return AmiFacts(statement_digest=image.statement_digest, name=image.name, unread=reason)


def ami_file(name: str, statement_digest: str, packages: Iterable[InstalledPackage]) -> AmiFile:
    """Return the file of an image."""
    listed = [(one.name, one.architecture, one.version) for one in sorted(packages)]
    return AmiFile(name=name, statement_digest=statement_digest, packages=listed)


def _first(differences: list[PackageFacts]) -> list[PackageFacts]:
    """Return as many as a statement has room for, of each name all architectures or none.

    So a package that is listed is known completely, whatever the list leaves out.
    """
    kept = differences[:DIFFERENCES_MAX]
    if len(kept) < len(differences):
        cut = differences[DIFFERENCES_MAX].name
        return [one for one in kept if one.name != cut]
    return kept


def _differences(before: dict[tuple[str, str], str], now: dict[tuple[str, str], str]) -> list[PackageFacts]:
    return [
        PackageFacts(name=key[0], architecture=key[1], image=before.get(key, ""), machine=now.get(key, ""))
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
