#!/bin/sh
# Makes a policy of weighted.py. Usage: build.sh [FILE.wasm [SOURCE WORLD]]
#
# Ends with 3 where the toolchain is missing.
set -eu
# The source without its ending, and the world of the contract that it exports.
source=${2:-weighted}
world=${3:-balancer-policy}
out=$(realpath -m "${1:-$source.wasm}")
# A gateway may watch the file: it sees the old one or the new one.
new=${out%.wasm}.new.wasm
trap 'rm -f "$new"' EXIT
cd "$(dirname "$0")"
wit=wit
[ -d "$wit" ] || wit=../../../wit
tools=${SWITCHYARD_TOOLCHAINS:-../../../target/toolchains}
for tool in "$(command -v componentize-py || :)" .venv/bin/componentize-py "$tools/python/bin/componentize-py"; do
    if [ -n "$tool" ] && [ -x "$tool" ]; then
        "$tool" --wit-path "$wit" --world "$world" componentize "$source" --output "$new"
        mv "$new" "$out"
        exit
    fi
done
echo "componentize-py is missing: run \`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt\` in $(pwd), or \`cargo xtask toolchains\`" >&2
exit 3
