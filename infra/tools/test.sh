#!/usr/bin/env bash
# test.sh [ARGUMENT]...
# Runs every test but the faults of `make faults`, in two lanes at a time: those of whole bridges, one file after the other, and beside them
# those of single parts with real servers, then, with what the processor has left, those that only compute, the simulation included.
# What both lanes have printed is searched for secrets of the tests; then one plain line says how many passed, failed and were skipped.
# Arguments go to the test runner.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Within scratch.sh, which ends whatever both lanes leave behind, also on Ctrl-C.
if [[ ${1:-} != --lanes ]]; then exec infra/tools/scratch.sh bash "${BASH_SOURCE[0]}" --lanes "$@"; fi
shift

# lane NAME ARGUMENT...: a run of the test runner, with a report for programs.
lane() {
  local report=.cache/test-report-$1.json
  shift
  node node_modules/vitest/vitest.mjs run --passWithNoTests --reporter=default --reporter=json --outputFile.json="$report" "$@"
}

mkdir -p .cache
rm -f .cache/test-report-*.json
printed=.cache/test-parts.txt
shown=.cache/test-bridges.txt
bridges=0
servers=0
parts=0
(
  lane servers --project servers "$@" || servers=$?
  # What servers do is judged by the clock: whoever only computes gives way.
  renice --priority 10 --pid "$BASHPID" >/dev/null
  lane parts --project parts --fileParallelism --maxWorkers=2 "$@" || parts=$?
  echo "$servers $parts" >.cache/test-codes.txt
) >"$printed" 2>&1 &
beside=$!
lane bridges --project 'end to end' "$@" 2>&1 | tee --ignore-interrupts "$shown" || bridges=$?
wait "$beside"
read -r servers parts <.cache/test-codes.txt
cat "$printed"
node infra/tools/find-secrets.mjs "$shown" "$printed" || { ((bridges)) || bridges=1; }
node infra/tools/count-tests.mjs .cache/test-report-bridges.json "$bridges" .cache/test-report-servers.json "$servers" \
  .cache/test-report-parts.json "$parts"
((bridges == 0)) || exit "$bridges"
((servers == 0)) || exit "$servers"
exit "$parts"
