#!/usr/bin/env bash
# Prints where the installed PostgreSQL keeps its server programs; fails if there is none. It looks where payquery
# itself does (src/private_postgres/binaries.rs).
set -euo pipefail

candidates() {
  if [[ -n ${PG_BINDIR:-} ]]; then
    printf '%s\n' "$PG_BINDIR"
    return
  fi
  printf '%s\n' /usr/lib/postgresql/*/bin | sort -t / -k 5,5nr
  pg_config --bindir 2>/dev/null || true
  tr ':' '\n' <<<"$PATH"
  printf '%s\n' /usr/pgsql-*/bin {/opt/homebrew,/usr/local,/home/linuxbrew/.linuxbrew}/opt/postgresql@*/bin | sort -r
}

while IFS= read -r directory; do
  if [[ -x $directory/initdb && -x $directory/pg_ctl && -x $directory/postgres && -x $directory/psql ]]; then
    printf '%s\n' "$directory"
    exit 0
  fi
done < <(candidates)
exit 1
