#!/bin/sh
# Makes weighted.c a policy. Usage: build.sh [FILE.wasm]
#
# BINDINGS names a folder with the contract's C bindings, else `bindings` here is taken; where there
# is none they are made with `wit-bindgen c`, or with the repository's own `cargo xtask bindings`.
# Ends with 3 where the toolchain is missing.
set -eu
out=$(realpath -m "${1:-weighted.wasm}")
cd "$(dirname "$0")"
missing() {
    echo "$1 is missing: install Debian's clang, lld and wasi-libc, or run \`cargo xtask toolchains\`" >&2
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
    trap 'rm -r "$BINDINGS"' EXIT
    if command -v wit-bindgen >/dev/null; then
        wit-bindgen c ../../../wit --world balancer-policy --out-dir "$BINDINGS" >&2
    else
        cargo xtask bindings --out "$BINDINGS" >&2
    fi
fi
# A reactor has no main: its exports are called one by one. Debian's clang has no runtime
# library for wasm, and this program needs none; it exports what the bindings mark as exports.
"$cc" --target=wasm32-wasi -mexec-model=reactor -nodefaultlibs -lc -O2 -Wall -Wextra -Werror -Wl,--strip-debug \
    -I"$BINDINGS" -o "$out" \
    weighted.c "$BINDINGS/balancer_policy.c" "$BINDINGS/balancer_policy_component_type.o"
