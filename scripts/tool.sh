#!/usr/bin/env bash
# Prints the directory of a cargo tool's programs, and installs the tool there first if it is missing. The versions are
# pinned here and nowhere else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tool=$1
case $tool in
  sqlx-cli) # the version of sqlx itself; without TLS, since it only meets a server on this machine
    version=0.9.0
    features=(--no-default-features --features postgres)
    ;;
  cargo-deny)
    version=0.20.2
    features=()
    ;;
  *)
    echo "unknown tool: $tool" >&2
    exit 2
    ;;
esac

root=$(scripts/target-dir.sh)/tools/$tool-$version
if [[ ! -e $root/.crates.toml ]]; then
  echo "installing $tool $version (once, a few minutes)" >&2
  cargo install --locked --quiet --version "$version" --root "$root" --target-dir "$root/build" \
    ${features[@]+"${features[@]}"} "$tool" >&2
  rm -rf "$root/build"
fi
printf '%s\n' "$root/bin"
