# Shared by the scripts of this folder: saying things, and installing Debian packages. Sourced.

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# Installs the Debian packages among the arguments that are missing. Needs root; waits for a held apt lock.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" = 0 ] || die "not installed: ${missing[*]}. Run as root: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    local log try
    log=$(mktemp)
    for try in $(seq 60); do
        if { apt-get -q update && DEBIAN_FRONTEND=noninteractive \
            apt-get -q install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
            rm -f "$log"
            return
        fi
        grep -q 'Could not get lock\|Unable to lock' "$log" || break
        [ "$try" = 1 ] && say "apt is busy; waiting"
        sleep 5
    done
    cat "$log" >&2
    rm -f "$log"
    die "cannot install ${missing[*]}"
}

# What cargo build needs besides Rust itself, and the engine that GOST signatures need at run time.
install_build_tools() {
    command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null || die "Rust is not installed: see https://rustup.rs"
    install_packages gcc libc6-dev pkg-config libssl-dev openssl libengine-gost-openssl
}
