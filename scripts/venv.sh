#!/usr/bin/env bash
# Prints the directory of a Python environment with these packages, made if it is not there yet: scripts/venv.sh NAME==VERSION...
set -euo pipefail

directory=$("$(dirname "${BASH_SOURCE[0]}")/target-dir.sh")/tools/venv-$(IFS=- && echo "${*//==/-}")
if [[ ! -e $directory/installed ]]; then
  echo "installing $*" >&2
  python3 -m venv --clear "$directory"
  "$directory/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
  touch "$directory/installed"
fi
echo "$directory"
