#!/usr/bin/env bash
# Builds the interpreters of tools/machines.py that no package brings, from the source that Debian's python3.13 has
# (apt-get source --download-only python3.13, of trixie or later):
#     tools/build_python.sh python3.13_3.13.*.orig.tar.xz free-threaded /opt/py313t
#     tools/build_python.sh python3.13_3.13.*.orig.tar.xz musl /opt/musl zlib_*.orig.tar.gz      # needs apt-get install musl-tools
# NumPy's wheels need musl 1.2.4: with an older one (Debian 12), put a newer ld-musl-x86_64.so.1 into /opt/musl/lib, then
#     patchelf --set-interpreter /opt/musl/lib/ld-musl-x86_64.so.1 "$(realpath /opt/musl/bin/python3)"
set -euo pipefail
source=$(realpath "$1") kind=$2 prefix=$3 zlib=${4:+$(realpath "$4")}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -xf "$source" -C "$folder" --strip-components 1
cd "$folder"
case $kind in
    free-threaded) ./configure -q --prefix="$prefix" --disable-gil ;;
    musl)
        # No libraries of this machine: they are glibc's. So no ctypes, which NumPy and pytest do without.
        mkdir zlib && tar -xf "$zlib" -C zlib --strip-components 1
        (cd zlib && CC=musl-gcc CFLAGS="-O2 -fPIC" ./configure --static > /dev/null && make -s libz.a)
        # configure compares GCC's own name of the machine, which is glibc's, with what it finds.
        printf '#!/bin/sh\n[ "$1" = --print-multiarch ] || exec musl-gcc "$@"\n' > cc
        chmod +x cc
        export ZLIB_CFLAGS=-I$folder/zlib ZLIB_LIBS="-L$folder/zlib -lz" PKG_CONFIG_LIBDIR=/nowhere
        CC=$folder/cc CFLAGS="-O1 -g0" ./configure -q --prefix="$prefix" --without-ensurepip --disable-test-modules
        ;;
    *) echo "free-threaded or musl, got $kind" >&2 && exit 1 ;;
esac
make -s -j2
make -s install
