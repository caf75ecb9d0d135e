# shellcheck shell=bash
# What the emulated machine boots from: made once, kept in the cache, named after its content.

# Userland of the rig: every program of these packages, with the libraries they load.
RIG_PACKAGES=(bash coreutils sed grep mawk findutils diffutils tar util-linux mount procps e2fsprogs qemu-utils curl)
# What --qemu adds to it: the monitor, its firmware and the modules it may load.
RIG_QEMU_PACKAGES=(qemu-system-x86 qemu-system-data seabios)
# What .NET loads at run time, or NativeAOT code links to.
RIG_LIBRARIES=(libc.so.6 libgcc_s.so.1 libstdc++.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libz.so.1)
# The least with which /usr can be mounted and the host be heard; kvm-amd and all else come from /usr.
RIG_BOOT_MODULES=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console virtio_blk)

make_initramfs() { # MODULES BUSYBOX OUT
    local box=$3.d name
    mkdir -p "$box"/{modules,proc,sys,usr}
    for name in "${RIG_BOOT_MODULES[@]}"; do cp "$(find "$1" -name "$name.ko")" "$box/modules/"; done
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$box/$name"; done
    cp "$2" "$box/busybox"
    install -m 755 "$REPO/guest/rig/init" "$box/init"
    (cd "$box" && find . -print0 | sort -z | "$2" cpio -0 -o -H newc -R 0:0 2>/dev/null) >"$3"
    rm -rf "$box"
}

make_tools() { # MODULES BUSYBOX PACKAGES OUT
    local usr=$4.d packages programs=() file libs=lib/x86_64-linux-gnu
    read -ra packages <<<"$3"
    mkdir -p "$usr"/{bin,sbin,local,share/dotnet,$libs,lib64,lib/modules,lib/locale}
    for file in $("$2" --list); do ln -s busybox "$usr/bin/$file"; done
    cp --remove-destination "$2" "$usr/bin/busybox"
    while read -r file; do
        [[ -x $file && ! -d $file ]] || continue
        programs+=("$file")
        # Wherever PATH looks first: the program, and not busybox's of the same name.
        rm -f "$usr"/{bin,sbin}/"${file##*/}"
        cp -d --remove-destination "$file" "$usr/${file#/usr}"
    done < <(dpkg-query -L "${packages[@]}" | grep -E '^(/usr)?/s?bin/.')
    ln -sf mawk "$usr/bin/awk"
    ln -s ../share/dotnet/dotnet "$usr/bin/dotnet"
    { libraries "${programs[@]}"; printf "/usr/$libs/%s\n" "${RIG_LIBRARIES[@]}"; } | sort -u |
        while read -r file; do cp -L "$file" "$usr/$libs/"; done
    mv "$usr/$libs/ld-linux-x86-64.so.2" "$usr/lib64/"
    cp -a /usr/lib/locale/C.utf8 "$usr/lib/locale/"
    cp -a "$1" "$usr/lib/modules/"
    "$2" depmod -b "$usr" "${1##*/}"
    if [[ " $3 " == *' qemu-system-x86 '* ]]; then
        cp -a /usr/share/{qemu,seabios} "$usr/share/"
    fi
    image_of "$usr" "$4"
    rm -rf "$usr"
}

make_dotnet() { # DOTNET_ROOT OUT
    mkdir "$2.d"
    cp -a "$1"/{dotnet,host,shared} "$2.d/"
    image_of "$2.d" "$2"
    rm -rf "$2.d"
}

make_scratch() { # OUT
    mkdir "$1.d"
    # No journal: nobody reads this file system again.
    make_ext4 "$1" 64G "$1.d" -O ^has_journal -i 262144
    rmdir "$1.d"
}

# image_of DIR FILE: a read-only image just large enough.
image_of() {
    local blocks inodes
    read -r blocks inodes < <(find "$1" -printf '%k\n' | awk '{ kib += $1; n++ } END { print int(kib / 4), n }')
    make_ext4 "$2" "$(( (blocks * 33 / 32 + inodes / 16 + 512) * 4 ))K" "$1" -O ^has_journal -N $((inodes + inodes / 16 + 64))
}

# prepare_images: sets KERNEL, INITRAMFS, TOOLS, SCRATCH to files in the cache, and DOTNET where it is asked for.
prepare_images() {
    local want_dotnet=$1 want_qemu=$2 kernel modules busybox dotnet version packages=("${RIG_PACKAGES[@]}")
    need_packages qemu-system-x86_64=qemu-system-x86 qemu-img=qemu-utils mke2fs=e2fsprogs curl=curl ps=procps
    if [[ ! -d $CACHE/kernel-6.1 ]]; then "$REPO/scripts/get-kernel" 6.1 >/dev/null; fi
    kernel=$CACHE/kernel-6.1/vmlinuz
    modules=$(echo "$CACHE"/kernel-6.1/modules/*)
    busybox=$(busybox_path)

    # The ELF kernel starts through PVH, which saves its self-extraction: a quarter of a second of emulation.
    version=$(key "${modules##*/}")
    KERNEL=rig-kernel-$version
    once "$KERNEL" "$REPO/scripts/extract-vmlinux" "$kernel"

    INITRAMFS=rig-initramfs-$(key "$REPO/guest/rig/init" "$busybox" "${modules##*/}" "${RIG_BOOT_MODULES[*]}")
    once "$INITRAMFS" make_initramfs "$modules" "$busybox"

    if (( want_qemu )); then packages+=("${RIG_QEMU_PACKAGES[@]}"); fi
    version=$(key "$(dpkg-query -W "${packages[@]}" libc6)" "${modules##*/}" "$(declare -f make_tools image_of make_ext4)")
    TOOLS=rig-tools-$version
    once "$TOOLS" make_tools "$modules" "$busybox" "${packages[*]}"

    SCRATCH=rig-scratch-$(key "$(declare -f make_scratch make_ext4)")
    once "$SCRATCH" make_scratch

    DOTNET=
    if (( want_dotnet )); then
        dotnet=$(dotnet_root)
        DOTNET=rig-dotnet-$(key "$dotnet" "$(find "$dotnet/shared" "$dotnet/host" -maxdepth 2 -mindepth 2)" "$(declare -f make_dotnet)")
        once "$DOTNET" make_dotnet "$dotnet"
        DOTNET=$CACHE/$DOTNET
    fi
    KERNEL=$CACHE/$KERNEL INITRAMFS=$CACHE/$INITRAMFS TOOLS=$CACHE/$TOOLS SCRATCH=$CACHE/$SCRATCH
}

dotnet_root() {
    local dotnet
    dotnet=$(command -v dotnet) || die 'dotnet is not installed: see https://dot.net'
    dirname -- "$(readlink -f "$dotnet")"
}
