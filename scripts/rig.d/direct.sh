# shellcheck shell=bash
# The host itself, where it has hardware virtualization: a throw-away view of it with the folders that the emulated
# machine has, loopback only, and every process gone at the end.

run_direct() {
    [[ $ACTION == run ]] || die 'this host needs no rig: use your own shell'
    need_packages qemu-img=qemu-utils mke2fs=e2fsprogs curl=curl ps=procps
    local path dest status=0
    mkdir "$RUN"/{scratch,out}
    if (( WANT_QEMU )); then need_packages qemu-system-x86_64=qemu-system-x86; fi
    if (( WANT_DOTNET )); then WITH+=("$(dotnet_root):/usr/share/dotnet"); fi
    for path in "$RUN/scratch:/scratch" "$RUN/out:/out" "${WITH[@]}"; do
        dest=
        if [[ $path == *:* ]]; then dest=${path#*:} path=${path%%:*}; fi
        path=$(readlink -f "$path")
        printf '%s\t%s\n' "$path" "${dest:-/with/${path##*/}}"
    done >"$RUN/binds"
    write_command "$RUN/command"
    # The end of this process, however it comes, closes the last writer of `life`: what runs inside sees that and ends.
    mkfifo "$RUN/life"
    exec 7<>"$RUN/life"
    { as_root unshare --mount --net --uts --pid --fork --kill-child -- \
        bash "$REPO/scripts/rig.d/inside" "$RUN" "$TIMEOUT" 7>&- </dev/null || exit; } &
    MACHINE=$!
    wait "$MACHINE" || status=$?
    MACHINE=
    if [[ -n $OUT ]]; then as_root tar -C "$RUN/out" --sparse -c . | tar -C "$OUT" --no-same-owner -x; fi
    exit "$status"
}
