#!/usr/bin/env bash
# chart.sh
# Brings the chart's schema up to date, lints and renders the chart with Helm 3 and Helm 4, and packs it into .cache/chart.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

node infra/tools/chart-schema.mjs
infra/tools/fetch-helm.sh
for helm in helm3 helm4; do
  printf '%s: ' "$helm"
  .cache/kubernetes/$helm version --short
  for values in helm/tombolo/ci/*.yaml; do
    .cache/kubernetes/$helm lint --strict --quiet helm/tombolo --values "$values"
    .cache/kubernetes/$helm template tombolo helm/tombolo --values "$values" >/dev/null
  done
done 2> >(grep --invert-match 'found symbolic link' >&2)
.cache/kubernetes/helm4 package helm/tombolo --destination .cache/chart 2> >(grep --invert-match 'found symbolic link' >&2)
