# shellcheck shell=bash
# A disk with what an administrator would get from the network: an apt repository with a newer kernel, and our guest package.

# Where a newer kernel comes from: suite, and the package that names the newest one there.
declare -A UPDATES=(
    [debian-11]='bookworm linux-image-cloud-amd64'
    # Not from the backports: their build of 6.12 panics at once in an emulated rig, under QEMU's KVM as well (docs/rig.md).
    [debian-12]='bookworm-security linux-image-6.12-cloud-amd64'
    [debian-13]='trixie-backports linux-image-cloud-amd64')

# make_updates NAME IMAGE OUT: updates.img for the guest NAME, whose disk image is in the folder IMAGE. apt decides, by what is
# installed there, what has to come along.
make_updates() {
    local suite package box=$3.d repository=$3.d/repository site deb
    read -r suite package <<<"${UPDATES[$1]}"
    need_packages debugfs=e2fsprogs dpkg-deb=dpkg
    mkdir -p "$box"/{lists/partial,archives/partial} "$repository" "$3"
    debugfs -R 'cat /var/lib/dpkg/status' "$2/disk.img?offset=1048576" >"$box/status" 2>/dev/null
    site=$(archives "${suite%-security}" | sed -nE "s/^deb ([^ ]+) $suite .*/\1/p")
    echo "deb $site $suite main" >"$box/sources"
    local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$box/sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$box/lists"
        -o "Dir::State::status=$box/status" -o "Dir::Cache::archives=$box/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o "APT::Sandbox::User=$(id -un)" -o Acquire::Check-Valid-Until=false -o Debug::NoLocking=1)
    say "fetching $package of $suite from Debian's archive"
    "${apt[@]}" update
    "${apt[@]}" -y --no-install-recommends --download-only -t "$suite" install "$package" >/dev/null
    mv "$box"/archives/*.deb "$repository/"
    "$REPO/scripts/guest-package" "$repository" >/dev/null
    for deb in "$repository"/*.deb; do
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %d\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
    done >"$repository/Packages"
    echo "$package" >"$repository/kernel"
    make_ext4 "$3/updates.img" 256M "$repository" -L updates
    rm -rf "$box"
}
