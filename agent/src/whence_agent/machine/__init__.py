"""The helper for tasks that need root: disks, kernel settings, sshd, power.

A connection has one request, a line of JSON; the responses are lines of progress and one result. Requests are
untrusted: every device, path, option and value is validated again, and directories are set by the command line.

protocol   requests and responses
place      the paths of devices and mounts; tests use their own
directories  opens directories that containers can write to, without following links
programs   runs mkfs, mount and other programs, without a shell
disks      RAID arrays, file systems, mounts
host       kernel settings, sshd, users, log rotation, power
serve      reads, executes and answers one request
"""

from __future__ import annotations
