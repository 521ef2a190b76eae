#!/bin/sh
# Remove what belongs to the machine on which the image was made. check.py states whether anything is left.
# Usage: clean.sh [ROOT]
set -eu
root=${1:-}

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl stop whence-agent.service whence-machine.socket docker.socket docker.service containerd.service || true
    journalctl --relinquish-var || true
fi

empty() { # remove what is in a directory, and keep the directory
    [ ! -d "$1" ] || find "$1" -mindepth 1 -xdev -delete
}

# An empty file: systemd makes an id at the first boot. The copy of D-Bus is a link to it.
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_* "$root/etc/hostname"
rm -f "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret" "$root"/boot/efi/loader/random-seed
rm -rf "$root"/root/.ssh "$root"/root/.aws "$root"/root/.docker "$root"/root/.dockercfg "$root"/root/.netrc
rm -f "$root"/root/.*_history "$root"/root/.wget-hsts "$root"/root/.lesshst
for home in "$root"/home/*; do
    rm -rf "$home/.ssh" "$home/.aws" "$home/.docker" "$home/.dockercfg" "$home/.netrc"
    rm -f "$home"/.*_history
done
for directory in var/lib/whence-agent var/lib/docker var/lib/containerd var/lib/cloud var/lib/dhcp var/lib/chrony \
    var/lib/systemd/network var/lib/apt/lists var/cache/apt var/cache/ldconfig var/backups var/log/journal tmp var/tmp; do
    empty "$root/$directory"
done
rm -f "$root/etc/.pwd.lock" "$root"/etc/passwd- "$root"/etc/shadow- "$root"/etc/group- "$root"/etc/gshadow-
# Directories of logs have owners, and stay.
[ ! -d "$root/var/log" ] || find "$root/var/log" -xdev ! -type d -delete
# journald keeps its log on the disk only where this directory is.
mkdir -p "$root/var/log/journal" "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial"
