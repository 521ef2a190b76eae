#!/bin/sh
# Remove what belongs to the machine on which the image was made. check.py states whether anything is left.
# Usage: clean.sh [ROOT]
set -eu
root=${1:-}

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    # Those that write when they stop, too: the random seed of the shutdown that follows would be in every instance.
    for unit in whence-agent.service whence-machine.socket whence-disks.socket docker.socket docker.service \
        containerd.service chrony.service systemd-random-seed.service; do
        systemctl stop "$unit" || true
    done
    journalctl --relinquish-var || true
fi

emptied() { # make an empty file of it; an absolute link leads out of the root, to the builder's own file
    [ ! -L "$1" ] || rm -f "$1"
    : >"$1"
}

empty() { # remove what is in a directory, and keep the directory
    [ ! -d "$1" ] || find "$1" -mindepth 1 -xdev -delete
}

# An empty file: systemd makes an id at the first boot. The copy of D-Bus is a link to it.
emptied "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_* "$root/etc/hostname"
rm -f "$root/var/lib/systemd/random-seed" "$root/var/lib/systemd/credential.secret" "$root"/boot/efi/loader/random-seed
for home in "$root"/root "$root"/home/*; do
    [ -z "$root" ] || [ ! -L "$home" ] || continue # an absolute link leads out of the root, to the builder's own files
    for name in .ssh .aws .docker .dockercfg .netrc .git-credentials .pgpass .pypirc .npmrc .my.cnf .kube .gnupg .config \
        .local .cache .viminfo .wget-hsts .lesshst; do
        rm -rf "${home:?}/$name"
    done
    rm -f "$home"/.*_history
done
# What the machine had of its network, its storage, its swap and its installation.
rm -f "$root"/etc/.resolv.conf.systemd-resolved.bak "$root"/etc/udev/rules.d/70-persistent-* "$root"/etc/netplan/* \
    "$root"/etc/network/interfaces.d/* "$root"/etc/NetworkManager/system-connections/* \
    "$root/etc/iscsi/initiatorname.iscsi" "$root/etc/nvme/hostid" "$root/etc/nvme/hostnqn" \
    "$root/etc/initramfs-tools/conf.d/resume" "$root/swapfile" "$root/swap.img"
[ ! -s "$root/var/cache/debconf/passwords.dat" ] || emptied "$root/var/cache/debconf/passwords.dat"
for directory in var/lib/whence-agent var/lib/docker var/lib/containerd var/lib/cloud var/lib/dhcp var/lib/chrony \
    var/lib/systemd/network var/lib/NetworkManager var/lib/systemd/coredump var/lib/systemd/pstore var/lib/amazon/ssm \
    var/crash var/mail var/spool/cron/crontabs var/spool/cron/atjobs var/lib/apt/lists var/cache/apt var/cache/ldconfig \
    var/backups var/log/journal tmp var/tmp; do
    empty "$root/$directory"
done
rm -f "$root/etc/.pwd.lock" "$root"/etc/passwd- "$root"/etc/shadow- "$root"/etc/group- "$root"/etc/gshadow-
# Directories of logs have owners, and stay.
[ ! -d "$root/var/log" ] || find "$root/var/log" -xdev ! -type d -delete
# journald keeps its log on the disk only where this directory is.
mkdir -p "$root/var/log/journal" "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial"
