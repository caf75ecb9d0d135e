# shellcheck shell=bash
# Debian as a server would have it, from Debian's own archive: systemd, GRUB, a serial getty, OpenSSH, cron, PostgreSQL, nginx.

declare -A SUITES=([debian-11]=bullseye [debian-12]=bookworm [debian-13]=trixie)

GUEST_PACKAGES=(systemd systemd-sysv udev dbus kmod login e2fsprogs initramfs-tools linux-image-cloud-amd64 grub-pc
    openssh-server cron postgresql nginx-light procps iproute2 less)

# Work that a guest under emulation has no time for, and that has nothing to do with what is shown: maintenance timers.
GUEST_MASKED=(apt-daily.timer apt-daily-upgrade.timer man-db.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    dpkg-db-backup.timer systemd-networkd-wait-online.service)

# archives SUITE: apt sources for it, on the mirrors that this host uses.
archives() {
    local site security
    site=$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)
    security=$(apt-get indextargets --format '$(SITE)' | grep security | head -n 1)
    [[ -n $site ]] || die 'this host has no Debian archive configured'
    printf 'deb %s %s main\n' "$site" "$1" "$site" "$1-updates"
    # Debian 11's has ended: it names kernels that it does not serve any more.
    if [[ -n $security && $1 != bullseye ]]; then printf 'deb %s %s-security main\n' "$security" "$1"; fi
}

# make_debian NAME OUT: installed and configured, on a disk. mmdebstrap needs no root where user namespaces are allowed; without
# root the tree's owners are kept by fakeroot on the way from mmdebstrap's archive to the disk.
make_debian() {
    local suite=${SUITES[$1]} box=$2.d keeper=()
    need_packages mmdebstrap=mmdebstrap sfdisk=fdisk grub-mkimage=grub-common grub-pc-bin mke2fs=e2fsprogs
    if (( EUID != 0 )); then
        need_packages fakeroot=fakeroot
        keeper=(fakeroot)
    fi
    mkdir "$box" "$2"
    archives "$suite" >"$box/sources"
    say "building $1 ($suite) from Debian's archive"
    mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${GUEST_PACKAGES[*]}")" \
        --essential-hook='echo "grub-pc grub-pc/install_devices_empty boolean true" | chroot "$1" debconf-set-selections' \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --customize-hook="$REPO/scripts/guest-image.d/customize \"\$1\" $1" \
        "$suite" "$box/tree.tar" "$box/sources" >"$box/log" 2>&1 || { tail -n 20 "$box/log" >&2; die 'mmdebstrap failed'; }
    "${keeper[@]}" "$REPO/scripts/guest-image.d/pack" "$box/tree.tar" "$2/disk.img"
    cp "$(firmware_path)" "$2/bios-microvm.bin"
    make_data "$2/data.img"
    rm -rf "$box"
}
