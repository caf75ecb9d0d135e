# shellcheck shell=bash
# Disk images with a partition table and a boot loader, made without root and without loop devices.

# In core.img: what GRUB needs to reach its configuration, and to show itself on the serial line.
GRUB_MODULES=(biosdisk part_msdos ext2 normal configfile linux serial terminal minicmd search search_label echo test)

# make_grub_disk FILE SIZE TREE [mke2fs option...]: a bootable disk of SIZE MiB whose one partition holds TREE, with GRUB
# (BIOS) before it, which reads /boot/grub/grub.cfg. Leaves the host's GRUB alone.
make_grub_disk() {
    local file=$1 size=$2 tree=$3 box=$1.grub
    shift 3
    need_packages sfdisk=fdisk grub-mkimage=grub-common grub-pc-bin mke2fs=e2fsprogs
    mkdir "$box"
    rm -f "$file"
    truncate -s "${size}M" "$file"
    echo 'start=2048, type=83, bootable' | sfdisk -q "$file"
    mke2fs -q -t ext4 -b 4096 -m 0 -E offset=1048576,root_owner=0:0,lazy_itable_init=1,nodiscard "$@" -d "$tree" -F "$file" "$((size - 1))M"
    grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$box/core.img" "${GRUB_MODULES[@]}"
    # The code before the partition table (GRUB looks for its core in the next sector), and the gap behind it.
    dd if=/usr/lib/grub/i386-pc/boot.img of="$file" bs=440 count=1 conv=notrunc status=none
    dd if="$box/core.img" of="$file" bs=512 seek=1 conv=notrunc status=none
    rm -r "$box"
}
