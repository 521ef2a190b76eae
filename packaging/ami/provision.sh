#!/bin/sh
# Turn a distribution's root into the image. Packer runs this in a running instance, `make image` in a new root.
# Usage: provision.sh FOLDER PACKAGE SETTINGS
#   FOLDER holds this script and files/; PACKAGE is whence-agent's .deb; SETTINGS is the platform's agent.yaml.
# The environment has image.yaml's lists: WHENCE_PACKAGES, WHENCE_REMOVED, WHENCE_ENABLED.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

folder=$1 package=$2 settings=$3
: "${WHENCE_PACKAGES:?}" "${WHENCE_REMOVED:?}" "${WHENCE_ENABLED:?}"

# What is installed while the image is made must not start there.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT

apt-get update -q
# shellcheck disable=SC2086 # lists of packages
apt-get install -y -q --no-install-recommends $WHENCE_PACKAGES
apt-get install -y -q --no-install-recommends "$package"
for name in $WHENCE_REMOVED; do
    case "$(dpkg-query --show --showformat '${db:Status-Status}' "$name" 2>/dev/null || true)" in
    "" | not-installed) ;;
    *) apt-get purge -y -q "$name" ;;
    esac
done
apt-get autoremove -y -q --purge

cp -R --no-preserve=ownership "$folder/files/." /
case " $WHENCE_PACKAGES " in
*" unattended-upgrades "*)
    printf 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n' \
        >/etc/apt/apt.conf.d/20auto-upgrades
    ;;
esac
install -m 0644 "$settings" /etc/whence/agent.yaml
# shellcheck disable=SC2086 # a list of units
systemctl enable $WHENCE_ENABLED
# The agent's key, its socket and what it reports stay with root and itself; nobody logs in with a password.
passwd --lock root >/dev/null
ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
