#!/usr/bin/env bash
# Builds the interpreters of tools/machines.py that no package brings, from the source that Debian's python3.13 has
# (apt-get source --download-only python3.13, of trixie or later):
#     tools/build_python.sh python3.13_3.13.*.orig.tar.xz free-threaded /opt/py313t
#     tools/build_python.sh python3.13_3.13.*.orig.tar.xz musl /opt/musl      # needs ziglang, and apt-get install musl
set -euo pipefail
source=$(realpath "$1") kind=$2 prefix=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -xf "$source" -C "$folder" --strip-components 1
cd "$folder"
case $kind in
    free-threaded) ./configure -q --prefix="$prefix" --disable-gil ;;
    musl)
        # No libraries of this machine: they are glibc's. So no zlib and no ctypes, which NumPy and pytest do without.
        printf '#!/bin/sh\nexec python -m ziglang "%s" "$@"\n' ar > ar
        printf '#!/bin/sh\nexec python -m ziglang cc -target x86_64-linux-musl -dynamic "$@"\n' > cc
        chmod +x ar cc
        CC=$folder/cc AR=$folder/ar PKG_CONFIG_LIBDIR=/nowhere CFLAGS=-O1 ./configure -q --prefix="$prefix" --without-ensurepip
        ;;
    *) echo "free-threaded or musl, got $kind" >&2 && exit 1 ;;
esac
make -s -j2
make -s install
