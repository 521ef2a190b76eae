#!/bin/sh
# Make sure that the programs a target needs are there: Debian's packages, installed when missing and when we may.
# Usage: setup.sh dev|clients|demo|test|bench|peer|image
set -eu

missing=""

need() { # package, then a command that succeeds when it is there
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has() { command -v "$1"; }

engine_answers() { has docker && docker info --format '{{.ServerVersion}}' | grep -q .; }
engine_possible() { has dockerd || [ -x /usr/sbin/dockerd ] || engine_answers; }
postgres_server() { ls /usr/lib/postgresql/*/bin/initdb; }
python_with_venv() { python3 -c 'import sys, ensurepip, venv; assert sys.version_info >= (3, 11)'; }
debian_python() { /usr/bin/python3 -c 'import sys; assert sys.version_info >= (3, 11)'; }
compose() { has docker-compose || docker compose version; }
docker_command() { has docker || ! grep -qs '^VERSION_ID="1[3-9]"' /etc/os-release; } # a package of its own since Debian 13
static_busybox() { [ -x /bin/busybox ] && /bin/busybox --list | grep -qx httpd; }

case "$1" in
dev | clients) need "python3 python3-venv" python_with_venv ;;
peer) need "puppetdb dbconfig-no-thanks" test -e /usr/share/puppetdb/puppetdb.jar ;;
image) ;;
demo | test | bench)
    need git has git
    need docker.io engine_possible
    need docker-cli docker_command
    need docker-registry has docker-registry
    need busybox-static static_busybox
    ;;
*)
    echo "usage: setup.sh dev|clients|demo|test|bench|peer|image" >&2
    exit 64
    ;;
esac
case "$1" in
clients)
    need nodejs has node
    need npm has npm
    ;;
esac
case "$1" in
test | bench)
    need postgresql postgres_server
    need strace has strace
    ;;
esac
case "$1" in
test)
    need gnupg has gpg
    need lintian has lintian
    need man-db has man
    need openssh-client has ssh-keygen
    need openssh-server test -x /usr/sbin/sshd
    need podman has podman
    need chromium has chromium
    need skopeo has skopeo
    need mtree-netbsd has mtree
    need docker-compose compose
    need xfsprogs has mkfs.xfs
    need python3 debian_python
    ;;
bench)
    need wrk has wrk
    need skopeo has skopeo
    ;;
esac

case "$1" in
demo | image | test | bench) need mmdebstrap has mmdebstrap ;;
esac
case "$1" in
image | test | bench)
    need systemd-container has systemd-nspawn
    need e2fsprogs has mkfs.ext4
    need fdisk test -x /usr/sbin/sfdisk
    need dosfstools test -x /usr/sbin/mkfs.vfat
    need mtools has mcopy
    ;;
esac
case "$1" in
test | bench) need qemu-system-x86 has qemu-system-x86_64 ;;
esac

[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! has apt-get >/dev/null; then
    echo "missing:$missing" >&2
    echo "install them, on Debian as root: apt-get install$missing" >&2
    exit 1
fi
echo "installing from Debian's packages:$missing"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # several packages
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get failed; its whole log: $log" >&2
    exit 1
fi
rm -f "$log"
