#!/usr/bin/env bash
# Runs every test but the faults of `make faults`, then says in one plain line how many passed, failed and were skipped. Arguments go to the test runner.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

report=.cache/test-report.json
mkdir -p .cache
rm -f "$report"
code=0
infra/tools/scratch.sh node node_modules/vitest/vitest.mjs run '--project=!faults' \
  --reporter=default --reporter=json --outputFile.json="$report" "$@" || code=$?
# A run that was interrupted has no result.
((code == 130 || code == 143)) || node infra/tools/count-tests.mjs "$report" "$code"
exit "$code"
