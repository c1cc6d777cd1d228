#!/usr/bin/env bash
# setup.sh [PACKAGE]...
# Installs what tests and demo need and this machine lacks, then builds. Where everything is there already it needs
# neither root nor the network. Arguments are further packages of Debian.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

oldest_node=20.19.0

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
  say "$@"
  exit 1
}

# Two calls at a time would install into the same folder.
take_turn() {
  mkdir -p .cache
  exec 9>.cache/setup.lock
  flock 9
}

check_node() {
  local found
  command -v node >/dev/null || fail "Node.js is not installed; Tombolo needs $oldest_node or newer."
  command -v npm >/dev/null || fail "npm is not installed; it comes with Node.js (on Debian: apt-get install npm)."
  found=$(node --version)
  printf '%s\n' "$oldest_node" "${found#v}" | sort --check=quiet --version-sort ||
    fail "Node.js is ${found#v} here; Tombolo needs $oldest_node or newer."
}

install_packages() {
  local -a missing=()
  local package
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep --quiet '^installed' || missing+=("$package")
  done
  [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || missing+=(rabbitmq-server)
  command -v redis-server >/dev/null || missing+=(redis-server)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v promtool >/dev/null || missing+=(prometheus)
  command -v unzip >/dev/null || missing+=(unzip)
  command -v shellcheck >/dev/null || missing+=(shellcheck)
  command -v systemd-analyze >/dev/null || missing+=(systemd)
  [[ -e /usr/share/activemq/bin/activemq.jar ]] || missing+=(activemq)
  for package in libxstream-java libjettison-java libxpp3-java; do
    [[ -e /usr/share/java/${package:3:-5}.jar ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}. This is no Debian, so please install them yourself."
  ((EUID == 0)) || fail "missing: ${missing[*]}. Install them as root: apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  local log
  log=$(mktemp)
  forbid_services
  if ! { apt_get update && apt_get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log" >&2
    fail "could not install ${missing[*]}; the reason is above."
  fi
  rm -f "$log"
  allow_services
  # Installed for tests, which start nodes of their own: not a service of this machine, now or after a reboot.
  if [[ -d /run/systemd/system ]]; then systemctl --quiet disable "${missing[@]}" 2>/dev/null || true; fi
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get --quiet -o DPkg::Lock::Timeout=300 "$@"
}

# Debian's packages start their services when installed; policy-rc.d is how one says no. One that is there stays.
policy=/usr/sbin/policy-rc.d
forbid_services() {
  [[ ! -e $policy ]] || return 0
  trap allow_services EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  our_policy=yes
}
allow_services() {
  [[ ${our_policy:-no} == no ]] || rm -f "$policy"
  our_policy=no
}

install_modules() {
  local wanted stamp=node_modules/.installed
  wanted=$(cat package-lock.json .npmrc | sha256sum)
  [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && return 0
  say 'installing the node modules'
  npm ci --no-progress --loglevel=error >&2
  printf '%s\n' "$wanted" >"$stamp"
}

take_turn
check_node
install_packages "$@"
install_modules
npm run --silent build
