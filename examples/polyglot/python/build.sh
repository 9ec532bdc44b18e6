#!/bin/sh
# Makes weighted.py a policy. Usage: build.sh [FILE.wasm]
#
# Ends with 3 where the toolchain is missing.
set -eu
out=$(realpath -m "${1:-weighted.wasm}")
cd "$(dirname "$0")"
wit=wit
[ -d "$wit" ] || wit=../../../wit
tools=${SWITCHYARD_TOOLCHAINS:-../../../target/toolchains}
for tool in "$(command -v componentize-py || :)" .venv/bin/componentize-py "$tools/python/bin/componentize-py"; do
    if [ -n "$tool" ] && [ -x "$tool" ]; then
        exec "$tool" --wit-path "$wit" --world balancer-policy componentize weighted --output "$out"
    fi
done
echo "componentize-py is missing: run \`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt\` in $(pwd), or \`cargo xtask toolchains\`" >&2
exit 3
