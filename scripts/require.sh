#!/usr/bin/env bash
# Gets what is named and missing: scripts/require.sh {cargo|cc|postgres|rabbitmq|venv|any program}...
# It installs on Debian and Ubuntu (as root or with sudo) and on macOS with Homebrew. Elsewhere it says what is missing,
# and Rust is left to its owner everywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

main() {
  local need missing=()
  for need in "$@"; do
    if [[ $need == cargo ]]; then
      check_cargo
    elif ! is_there "$need"; then
      missing+=("$need")
    fi
  done
  if [[ ${#missing[@]} -eq 0 ]]; then
    return
  fi
  echo "missing: ${missing[*]}" >&2
  if [[ $(uname) == Darwin ]]; then
    install_with_brew "${missing[@]}"
  elif command -v apt-get >/dev/null; then
    install_with_apt "${missing[@]}"
  else
    fail "install the above with this system's package manager (for postgres, DATABASE_URL may name a server instead)"
  fi
}

is_there() {
  case $1 in
    cc) if [[ $(uname) == Darwin ]]; then xcode-select -p; else command -v cc; fi ;;
    postgres) scripts/postgres-bindir.sh ;;
    rabbitmq) scripts/rabbitmq-program.sh ;;
    nginx) PATH=$PATH:/usr/sbin command -v nginx ;; # where Debian has it, which is on root's PATH only
    nchan) [[ -e /usr/lib/nginx/modules/ngx_nchan_module.so || -e /usr/lib64/nginx/modules/ngx_nchan_module.so ]] ;;
    venv) python3 -c 'import ensurepip, venv' ;;
    node) node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' ;;
    java) javac --version ;; # also compiles what it runs, so not without a compiler
    amqp-client) [[ -n ${AMQP_CLASSPATH:-} || -e /usr/share/java/amqp-client.jar ]] ;;
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ||
      [[ -d /Applications/Chromium.app || -d '/Applications/Google Chrome.app' ]] ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

check_cargo() {
  local wanted found
  command -v cargo >/dev/null || fail "Rust is not installed; get it with
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
then open a new shell and try again"
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  found=$(cargo --version | cut -d ' ' -f 2)
  if [[ $(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
    fail "Rust $found is too old, $wanted is needed; \`rustup update stable\` gets it (https://rustup.rs gets rustup)"
  fi
}

install_with_apt() {
  local need packages=()
  for need in "$@"; do
    case $need in
      cc) packages+=(gcc libc6-dev) ;; # ring compiles C, and rustc links with it
      postgres) packages+=(postgresql) ;;
      rabbitmq) packages+=(rabbitmq-server) ;;
      venv) packages+=(python3-venv) ;;
      node) packages+=(nodejs) ;;
      chromium) packages+=(chromium fonts-wqy-microhei) ;; # with letters for the Chinese pages
      java) packages+=(default-jdk-headless) ;;
      amqp-client) packages+=(librabbitmq-client-java) ;; # for Java
      nchan) packages+=(libnginx-mod-nchan) ;; # a module of nginx
      taskset | setpriv) packages+=(util-linux) ;;
      *) packages+=("$need") ;;
    esac
  done
  as_root apt-get -q -o Acquire::Retries=3 update
  keep_services_from_starting
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 \
    install --yes --no-install-recommends "${packages[@]}"
}

# Debian's packages start what they bring as a service of the machine. The tests run servers of their own; a machine that
# was given no policy has one for as long as something is installed.
keep_services_from_starting() {
  if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
  fi
}

install_with_brew() {
  local need packages=()
  for need in "$@"; do
    case $need in
      cc) fail "install the C compiler with \`xcode-select --install\`, then try again" ;;
      postgres) packages+=(postgresql@17) ;;
      venv) packages+=(python) ;;
      node | npm) packages+=(node) ;;
      java) fail "install a JDK (https://adoptium.net)" ;;
      amqp-client) fail "name the jars of com.rabbitmq:amqp-client and org.slf4j:slf4j-api in AMQP_CLASSPATH" ;;
      chromium) fail "install Google Chrome (https://www.google.com/chrome), or name a Chromium in CHROMIUM_BIN" ;;
      *) packages+=("$need") ;;
    esac
  done
  command -v brew >/dev/null || fail "install Homebrew (https://brew.sh), then try again"
  brew install "${packages[@]}"
}

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    echo "+ sudo $*" >&2
    sudo "$@"
  else
    fail "run this as root: $*"
  fi
}

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

main "$@"
