#!/usr/bin/env bash
# scratch.sh [--keep-on-failure] COMMAND [ARGUMENT]...
# Runs COMMAND with a temporary directory of its own (TMPDIR). Afterwards, and also on Ctrl-C and SIGTERM, it ends the
# processes that COMMAND left behind, each by its id, and removes the directory. The exit code is COMMAND's.
set -euo pipefail

keep=no
if [[ ${1:-} == --keep-on-failure ]]; then
  keep=yes
  shift
fi
directory=$(mktemp -d "${TMPDIR:-/tmp}/tombolo-XXXXXX")
child=''
code=0
interrupted=0

interrupt() {
  interrupted=$1
  if [[ -n $child ]]; then kill -TERM "$child" 2>/dev/null || true; fi
}

# Whatever COMMAND started, however indirectly, carries our TMPDIR in its environment, and nothing else does.
left_behind() {
  local file
  for file in /proc/[0-9]*/environ; do
    if grep --quiet --null-data --line-regexp --fixed-strings "TMPDIR=$directory" "$file" 2>/dev/null; then
      basename "$(dirname "$file")"
    fi
  done
}

# end_all SIGNAL TENTHS: sends the signal, and waits that many tenths of a second at most until nothing is left.
end_all() {
  local pid
  for pid in $(left_behind); do kill -"$1" "$pid" 2>/dev/null || true; done
  for ((i = 0; i < $2; i++)); do
    [[ -n $(left_behind) ]] || return 0
    sleep 0.1
  done
  return 1
}

clean_up() {
  trap '' INT TERM HUP
  if ((interrupted)); then code=$interrupted; fi
  end_all TERM 150 || end_all KILL 50 || true
  if [[ $keep == no ]] || ((code == 0 || interrupted)); then rm -rf "$directory"; fi
  exit "$code"
}

trap clean_up EXIT
trap 'interrupt 130' INT
trap 'interrupt 143' TERM HUP

# In the background, because bash hears of a signal only between foreground commands.
env TMPDIR="$directory" "$@" <&0 &
child=$!
wait "$child" || code=$?
# A signal ends the wait before the command has ended.
for ((tenths = 0; interrupted && tenths < 300; tenths++)); do
  kill -0 "$child" 2>/dev/null || break
  sleep 0.1
done
