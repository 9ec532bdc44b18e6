#!/bin/sh
# Makes weighted.js a policy. Usage: build.sh [FILE.wasm]
#
# Ends with 3 where the toolchain is missing.
set -eu
out=$(realpath -m "${1:-weighted.wasm}")
cd "$(dirname "$0")"
wit=wit
[ -d "$wit" ] || wit=../../../wit
tools=${SWITCHYARD_TOOLCHAINS:-../../../target/toolchains}
for tool in "$(command -v componentize-qjs || :)" node_modules/.bin/componentize-qjs "$tools/js/node_modules/.bin/componentize-qjs"; do
    if [ -n "$tool" ] && [ -x "$tool" ]; then
        # --sync: policies have no asynchronous functions, and the gateway has no runtime for them.
        exec "$tool" --sync --opt-size --minify --wit "$wit" --world balancer-policy --js weighted.js --output "$out"
    fi
done
echo "componentize-qjs is missing: run \`npm install\` in $(pwd), or \`cargo xtask toolchains\`" >&2
exit 3
