#!/bin/sh
# Makes a policy of weighted.c. Usage: build.sh [FILE.wasm [SOURCE WORLD]]
#
# BINDINGS names a folder with the world's C bindings, else `bindings` here is taken; where there
# is none they are made with `wit-bindgen c`, or with the repository's own `cargo xtask bindings`.
# Ends with 3 where the toolchain is missing.
set -eu
# The source without its ending, and the world of the contract that it exports.
source=${2:-weighted}
world=${3:-balancer-policy}
out=$(realpath -m "${1:-$source.wasm}")
# A gateway may watch the file: it sees the old one or the new one.
new=${out%.wasm}.new.wasm
made=
trap 'rm -rf "$new" ${made:+"$made"}' EXIT
cd "$(dirname "$0")"
missing() {
    echo "$1 is missing: run \`apt-get install clang lld wasi-libc\`, or \`cargo xtask toolchains\`" >&2
    exit 3
}
cc=$(command -v "${CC:-clang}") || missing clang
command -v wasm-ld >/dev/null || missing wasm-ld
[ -f /usr/include/wasm32-wasi/stdlib.h ] || missing wasi-libc
if [ -z "${BINDINGS:-}" ] && [ -d bindings ]; then
    BINDINGS=bindings
fi
if [ -z "${BINDINGS:-}" ]; then
    BINDINGS=$(mktemp -d)
    made=$BINDINGS
    wit=wit
    [ -d "$wit" ] || wit=../../../wit
    if command -v wit-bindgen >/dev/null; then
        wit-bindgen c "$wit" --world "$world" --out-dir "$BINDINGS" >&2
    else
        cargo xtask bindings --world "$world" --out "$BINDINGS" >&2
    fi
fi
bindings=$BINDINGS/$(echo "$world" | tr - _)
# A reactor has no main: its exports are called one by one. Debian's clang has no runtime
# library for wasm, and this program needs none; it exports what the bindings mark as exports.
"$cc" --target=wasm32-wasi -mexec-model=reactor -nodefaultlibs -lc -O2 -Wall -Wextra -Werror -Wl,--strip-debug \
    -I"$BINDINGS" -o "$new" \
    "$source.c" "$bindings.c" "${bindings}_component_type.o"
mv "$new" "$out"
