"""A question about a package: `openssl<3.0.17`, `deb/openssl`, `pypi/aiohttp>=3.10`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt

from packaging.version import InvalidVersion, Version

from whence_common.ami_provenance import PackageSystem, python_name
from whence_common.debian_version import compare_debian_versions, is_debian_version
from whence_common.errors import InputError
from whence_common.installed_packages import is_package_name

_PACKAGE = re.compile(r"(?:(deb|pypi)/)?([A-Za-z0-9][A-Za-z0-9+._-]{0,199})(?:(<=|>=|<|>|=)([!-~]{1,256}))?\Z")
_OPERATORS: Mapping[str, Callable[[int, int], bool]] = {"<": lt, "<=": le, "=": eq, ">=": ge, ">": gt}
_FIX = "write it like openssl, openssl<3.0.17-1~deb12u1 or pypi/aiohttp<3.10"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageQuery:
    """A package, and the versions that match; an empty operator: any version."""

    system: PackageSystem
    name: str
    operator: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> PackageQuery:
        """Parse a question. Raises InputError with what to write."""
        match = _PACKAGE.match(text)
        if match is None:
            raise InputError("parameter-malformed", f"package is not a package with a version: {text[:60]!r}", fix=_FIX)
        operator, version = match[3] or "", match[4] or ""
        if match[1] == "pypi":
            found = cls(system="pypi", name=python_name(match[2]), operator=operator, version=version)
        else:
            found = cls(system="deb", name=match[2], operator=operator, version=version)
            if not is_package_name(found.name):
                raise InputError("parameter-malformed", f"{found.name!r} is not the name of a Debian package", fix=_FIX)
        if operator and found.compared(version) is None:
            raise InputError(
                "parameter-malformed", f"{version[:60]!r} is not a version of a {found.system} package", fix=_FIX
            )
        return found

    def matching(self, versions: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the versions that match, and those that cannot be compared with the wanted one."""
        known = list(versions)
        if not self.operator:
            return known, []
        results = {one: self.compared(one) for one in known}
        holds = _OPERATORS[self.operator]
        matching = [one for one, result in results.items() if result is not None and holds(result, 0)]
        return matching, [one for one, result in results.items() if result is None]

    def compared(self, version: str) -> int | None:
        """Compare a version with the wanted one; None if one of them is not a version."""
        if self.system == "deb":
            if not is_debian_version(version) or not is_debian_version(self.version):
                return None
            return compare_debian_versions(version, self.version)
        try:
            one, wanted = Version(version), Version(self.version)
        except InvalidVersion:
            return None
        return (one > wanted) - (one < wanted)
