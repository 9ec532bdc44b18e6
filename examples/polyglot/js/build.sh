#!/bin/sh
# Makes a policy of weighted.js. Usage: build.sh [FILE.wasm [SOURCE WORLD]]
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
for tool in "$(command -v componentize-qjs || :)" node_modules/.bin/componentize-qjs "$tools/js/node_modules/.bin/componentize-qjs"; do
    if [ -n "$tool" ] && [ -x "$tool" ]; then
        # --sync: policies have no asynchronous functions, and the gateway has no runtime for them.
        "$tool" --sync --opt-size --minify --wit "$wit" --world "$world" --js "$source.js" --output "$new"
        mv "$new" "$out"
        exit
    fi
done
echo "componentize-qjs is missing: run \`npm install\` in $(pwd), or \`cargo xtask toolchains\`" >&2
exit 3
