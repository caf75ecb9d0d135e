# shellcheck shell=bash
# Helpers every script here shares; source it first. Nothing in this file runs by itself.
set -Eeuo pipefail
shopt -s inherit_errexit
umask 022
export LC_ALL=C.UTF-8

REPO=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${XDG_CACHE_HOME:-${HOME:-~}/.cache}/bgkvm

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
# What a script exits with when its own means fail, as in env(1) and timeout(1): never taken for a guest's answer.
die() { say "$*"; exit 125; }

# Nothing fails in silence: what set -e ends is named.
trap 'say "failed in ${BASH_SOURCE[0]##*/} line $LINENO: $BASH_COMMAND"' ERR

as_root() {
    if (( EUID == 0 )); then "$@"
    elif command -v sudo >/dev/null; then sudo -- "$@"
    else die "'$*' needs root: run as root or install sudo"
    fi
}

# need_packages [COMMAND=]PACKAGE...: installs what is missing. With COMMAND= the package counts as present when
# that command is, which is fast and also right where the tool came from elsewhere.
need_packages() {
    local entry missing=()
    for entry; do
        case $entry in
            *=*) command -v "${entry%%=*}" >/dev/null || missing+=("${entry#*=}") ;;
            *) [[ $(dpkg-query -W -f '${db:Status-Status}' "$entry" 2>/dev/null) == installed ]] || missing+=("$entry") ;;
        esac
    done
    (( ${#missing[@]} )) || return 0
    command -v apt-get >/dev/null || die "needs the Debian packages: ${missing[*]} (no apt-get here to install them)"
    say "installing Debian packages: ${missing[*]}"
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}")
    as_root "${install[@]}" >/dev/null 2>&1 && return
    say 'refreshing the package lists (apt-get update)'
    as_root apt-get update -qq >&2 || die 'apt-get update failed'
    as_root "${install[@]}" >&2 || die "could not install: ${missing[*]}"
}

# once NAME COMMAND...: makes $CACHE/NAME by running COMMAND with a temporary path as its last argument, unless it is
# there already. Safe when several processes want it at once; a run that fails or is killed leaves nothing half made.
once() {
    local target=$CACHE/$1 lock=$CACHE/locks/$1 temp
    shift
    [[ ! -e $target ]] || return 0
    mkdir -p "$CACHE/locks"
    (
        flock 9
        [[ ! -e $target ]] || exit 0
        temp=$target.tmp
        rm -rf "$temp" "$temp.d"
        "$@" "$temp"
        mv -T "$temp" "$target"
    ) 9>"$lock"
}

# key FILE...: names content made from these files (and strings: anything that is not a file counts as itself).
key() {
    local item
    for item; do
        if [[ -f $item ]]; then cat -- "$item"; else printf '%s\n' "$item"; fi
    done | sha256sum | cut -c1-16
}

# keep_newest PREFIX COUNT: drops the older ones among the cache entries that start with PREFIX.
keep_newest() {
    local entry
    find "$CACHE" -maxdepth 1 -name "$1*" ! -name '*.tmp*' -printf '%T@ %p\n' | sort -rn |
        tail -n +"$(($2 + 1))" | while read -r _ entry; do rm -rf "$entry"; done
}

# newest_package REGEX: the newest available package of that name, by version order of the names.
newest_package() {
    local name
    name=$(apt-cache search --names-only "$1" | cut -d' ' -f1 | sort -V | tail -n 1)
    if [[ -z $name ]]; then
        say 'refreshing the package lists (apt-get update)'
        as_root apt-get update -qq >&2 || die 'apt-get update failed'
        name=$(apt-cache search --names-only "$1" | cut -d' ' -f1 | sort -V | tail -n 1)
    fi
    [[ -n $name ]] || die "the package archives have nothing named $1"
    printf '%s\n' "$name"
}

# unpack_package NAME DIR: fetches a Debian package from the configured archives and unpacks it, without installing.
unpack_package() (
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    box=$(mktemp -d)
    trap 'rm -rf "$box"' EXIT
    cd "$box"
    # As root apt would fetch as its own user, who may not write here.
    options=(-qq -o "APT::Sandbox::User=$(id -un)")
    if ! apt-get "${options[@]}" download "$1" >&2; then
        say 'refreshing the package lists (apt-get update)'
        as_root apt-get update -qq >&2
        apt-get "${options[@]}" download "$1" >&2 || die "could not download the package $1"
    fi
    dpkg-deb -x ./*.deb "$dir"
)

# busybox_path: Debian's static busybox; from its package, unpacked in the cache where it is not installed
# (installing it would push out a dynamic one that the host may use).
busybox_path() {
    local path
    for path in /bin/busybox "$CACHE/busybox/bin/busybox"; do
        if [[ -x $path ]] && ! ldd "$path" >/dev/null 2>&1; then printf '%s\n' "$path"; return; fi
    done
    say 'fetching Debian package busybox-static'
    once busybox unpack_package busybox-static
    printf '%s\n' "$CACHE/busybox/bin/busybox"
}

# firmware_path: Debian's SeaBIOS for machines like ours; from its package, unpacked in the cache where it is not installed.
firmware_path() {
    local path=/usr/share/seabios/bios-microvm.bin
    if [[ ! -f $path ]]; then
        once seabios unpack_package seabios
        path=$CACHE/seabios$path
    fi
    printf '%s\n' "$path"
}

# make_ext4 FILE SIZE DIR [mke2fs option...]: an ext4 image of DIR's content, without root or loop device.
# Fixed times and UUID: the same content gives the same image.
make_ext4() {
    local file=$1 size=$2 dir=$3
    shift 3
    rm -f "$file"
    truncate -s "$size" "$file"
    mke2fs -q -t ext4 -b 4096 -m 0 -E root_owner=0:0,lazy_itable_init=1,nodiscard "$@" -d "$dir" -F "$file"
}

# libraries FILE...: paths of the shared libraries, and of the loader, that these programs need.
libraries() { { ldd "$@" 2>/dev/null || true; } | grep -oE '/[^ :]+ \(' | sed 's/ (//' | sort -u; }

# No compiler or build server of ours stays behind.
export MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
DOTNET_ALONE=(-p:UseSharedCompilation=false)
need_dotnet() { command -v dotnet >/dev/null || die 'needs the .NET SDK 10: see https://dot.net/download'; }
