#!/usr/bin/env bash
# Prints cargo's target directory, wherever CARGO_TARGET_DIR or a cargo configuration has put it.
set -euo pipefail
cargo metadata --no-deps --offline --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
