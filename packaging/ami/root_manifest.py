"""The manifest of a root: each file with its type, mode, owner, size, content and link, in the format of mtree(5).

The digest of a root is the SHA-256 of this text. What the first boot or the build's tools change is excluded; times are
not in it. mtree(5) has no keyword for extended attributes, such as file capabilities and ACLs: each is a comment after
its file, `# xattr.NAME=VALUE` with the value in Base64. NetBSD's mtree and libarchive skip comments, and
end at keywords that they do not know.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

EXCLUDED = {
    "boot/grub/grubenv": "GRUB writes it at each boot",
    "dev": "the kernel's",
    "etc/hostname": "set at the first boot",
    "etc/machine-id": "made at the first boot",
    "etc/resolv.conf": "written by the network",
    "etc/ssh/ssh_host_*": "keys of one machine",
    "lost+found": "the file system's",
    "proc": "the kernel's",
    "root/.ssh": "keys that EC2 places at the first boot",
    "run": "lives as long as a boot",
    "sys": "the kernel's",
    "tmp": "temporary files",
    "usr/share/whence/image.json": "it names the statement, which names this manifest",
    "var/cache": "made again when needed",
    "var/lib/apt/lists": "made again by apt-get update",
    "var/lib/chrony": "written by the clock's daemon",
    "var/lib/cloud": "cloud-init's state of one machine",
    "var/lib/dbus/machine-id": "made at the first boot",
    "var/lib/systemd/random-seed": "written at each boot",
    "var/lib/systemd/timers": "when timers ran last",
    "var/lib/whence-agent": "the agent's state of one machine",
    "var/log": "logs",
    "var/tmp": "temporary files",
}
"""Paths without the first slash, each with the reason. Of a folder, all that is in it is excluded, and it is not."""
_ATTRIBUTES = ("security.", "system.posix_acl_", "trusted.", "user.")
_OF_OVERLAYS = ("trusted.overlay.", "user.overlay.")
_PART_BYTES = 1024 * 1024
_TYPES = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "dir"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "fifo"),
          (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "char"), (stat.S_ISBLK, "block"))  # fmt: skip
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-,:@%~!$&'();<>{}|^`\"")


def manifest_lines(root: Path) -> Iterator[bytes]:
    """Yield the manifest of a root, line by line, in the order of the paths' bytes. Raises OSError."""
    yield b"#mtree v2.0\n"
    yield _line(root, ".")
    yield from _attributes(root)
    for path in sorted(_paths(root, Path()), key=os.fsencode):
        yield _line(root / path, "./" + _written(os.fsencode(path)))
        yield from _attributes(root / path)


def write_manifest(root: Path, file: Path) -> str:
    """Write the manifest of a root; return its digest. Raises OSError."""
    digest = hashlib.sha256()
    with file.open("wb") as stream:
        for line in manifest_lines(root):
            digest.update(line)
            stream.write(line)
    return "sha256:" + digest.hexdigest()


def is_excluded(path: str) -> bool:
    """Return whether a path is excluded by itself; a path in a folder that is excluded is never asked about."""
    if path in EXCLUDED:
        return True
    return any(name.endswith("*") and path.startswith(name[:-1]) for name in EXCLUDED)


def _paths(root: Path, folder: Path) -> Iterator[Path]:
    """Yield the paths below a folder, without following links; excluded folders themselves, but not what is in them."""
    with os.scandir(root / folder) as entries:
        found = [(folder / entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for path, is_folder in found:
        excluded = is_excluded(str(path))
        if is_folder or not excluded:
            yield path
        if is_folder and not excluded:
            yield from _paths(root, path)


def _line(place: Path, name: str) -> bytes:
    found = place.lstat()
    kind = next(name for matches, name in _TYPES if matches(found.st_mode))
    words = [f"type={kind}", f"mode={stat.S_IMODE(found.st_mode):04o}", f"uid={found.st_uid}", f"gid={found.st_gid}"]
    if kind == "file":
        words += [f"size={found.st_size}", f"sha256digest={_content_digest(place)}"]
    elif kind == "link":
        words.append("link=" + _written(os.fsencode(place.readlink())))
    elif kind in ("char", "block"):
        words.append(f"device=native,{os.major(found.st_rdev)},{os.minor(found.st_rdev)}")
    return f"{name} {' '.join(words)}\n".encode("ascii")


def _attributes(place: Path) -> Iterator[bytes]:
    """Yield the extended attributes of a file, a folder or a link itself, by name, but for those of file systems."""
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except OSError as exc:
        if exc.errno == errno.ENOTSUP:  # a file system that has none
            return
        raise
    for name in sorted(names, key=os.fsencode):
        if name.startswith(_ATTRIBUTES) and not name.startswith(_OF_OVERLAYS):
            value = base64.b64encode(os.getxattr(place, name, follow_symlinks=False)).decode()
            yield f"# xattr.{_written(os.fsencode(name))}={value}\n".encode("ascii")


def _content_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
        while part := stream.read(_PART_BYTES):
            digest.update(part)
    return digest.hexdigest()


def _written(path: bytes) -> str:
    """Return a path as mtree writes it: octets that are not plain as a backslash and three octal digits."""
    return "".join(chr(one) if one in _PLAIN else f"\\{one:03o}" for one in path)
