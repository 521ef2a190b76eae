"""The helper that does what needs root, and nothing else: disks, kernel settings, sshd, power.

One request a connection, one line of JSON, answered by lines of progress and one result. It believes nothing it is
sent: every device, path, option and value is checked here again, and where things stand is on its own command line.

protocol   requests and answers
place      where devices and mounts stand on this machine; tests have a place of their own
directories  open directories that containers may write to, without following links
programs   running mkfs, mount and the like, never by a shell
disks      RAID arrays, file systems, mounts
host       kernel settings, sshd, users, log rotation, power
serve      one request read, done and answered
"""

from __future__ import annotations
