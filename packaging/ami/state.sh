#!/bin/sh
# State what this machine's root consists of, as `make image` states it of a root: packages and their origins before it is
# cleaned, and the rest at the end, when nothing changes any more. Packer runs it; the files are in FOLDER/out.
# Usage: state.sh FOLDER origins | state.sh FOLDER statement NAME BUILDER
#   FOLDER, which is not on the image's disk, holds this script, the programs, and scm-source.json.
set -eu
folder=$1

# whence-agent's own Python packages have all that the programs need.
program() {
    PYTHONPATH=/usr/lib/whence-agent PYTHONDONTWRITEBYTECODE=1 python3 "$folder/root_statement.py" "$@"
}

case $2 in
origins) program --root / --note-origins "$folder/origins.json" ;;
statement)
    # The disk alone, without what is mounted on it while the machine runs.
    mkdir -p "$folder/root"
    mount --bind / "$folder/root"
    trap 'umount "$folder/root"' EXIT
    program --root "$folder/root" --output "$folder/out" --name "$3" --builder-id "$4" \
        --scm-source "$folder/scm-source.json" --origins "$folder/origins.json"
    chmod -R a+rX "$folder/out"
    ;;
*) exit 64 ;;
esac
