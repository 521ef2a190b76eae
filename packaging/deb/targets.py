"""The releases and architectures that packages are built for: one package for each Python and architecture."""

from __future__ import annotations

from dataclasses import dataclass

_GLIBC = {"3.11": 36, "3.12": 39, "3.13": 41}
"""The second number of the release's glibc: a wheel may need this one, or an earlier one."""
_SUFFIX = {"3.11": "deb12", "3.12": "ubuntu24.04", "3.13": "deb13"}
_MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}
_ELF_MACHINE = {"amd64": 62, "arm64": 183}
PYTHONS = tuple(_SUFFIX)
ARCHITECTURES = tuple(_MACHINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One Python, such as 3.11, on one architecture as Debian names it."""

    python: str
    architecture: str

    @property
    def suffix(self) -> str:
        """The release, as it stands at the end of a package's version."""
        return _SUFFIX[self.python]

    @property
    def machine(self) -> str:
        """The architecture as the kernel names it."""
        return _MACHINE[self.architecture]

    @property
    def abi(self) -> str:
        return f"cp{self.python.replace('.', '')}"

    @property
    def elf_machine(self) -> int:
        """e_machine of its libraries: elf.h."""
        return _ELF_MACHINE[self.architecture]

    @property
    def depends(self) -> str:
        """The Python that the package needs, and no later one: its libraries are for this one."""
        major, minor = self.python.split(".")
        return f"python3 (>= {self.python}), python3 (<< {major}.{int(minor) + 1})"

    @property
    def pip_options(self) -> list[str]:
        """pip's options that select the wheels of this target, whatever machine it runs on."""
        platforms = [f"manylinux_2_{minor}_{self.machine}" for minor in range(_GLIBC[self.python], 16, -1)]
        abis = ("--abi", self.abi, "--abi", "abi3", "--abi", "none")
        chosen = [
            word for platform in (*platforms, f"manylinux2014_{self.machine}") for word in ("--platform", platform)
        ]
        return ["--implementation", "cp", "--python-version", self.python, *abis, *chosen]


TARGETS = tuple(
    Target(python=python, architecture=architecture) for python in PYTHONS for architecture in ARCHITECTURES
)
