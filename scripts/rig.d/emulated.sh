# shellcheck shell=bash
# shellcheck disable=SC2054  # QEMU's options have commas
# The emulated machine: QEMU's TCG with AMD-V. RUN is this pass's folder.

# Without XSAVE and what builds on it: this QEMU does not tell kvm-amd when a guest writes XCR0, so KVM would save and load
# the wrong one, and a guest's vector registers would not survive its own context switches. FXSAVE has no such state.
CPU=EPYC,-xsave,-xsaveopt,-xsavec,-xsaves,-xgetbv1,-avx,-avx2,-fma,-f16c

GRACE=20        # seconds beyond --timeout for bringing /out back
SILENCE=${RIG_SILENCE:-60}      # seconds without a sign of life: of its kernel or init, later of the loop in init that says "alive"

# The disk `with`: n → what the n-th --with names, index → where each goes, command → what to run.
make_with() {
    local box=$RUN/with.d n=0 path dest
    mkdir "$box"
    : >"$box/index"
    for path in "${WITH[@]}"; do
        dest=
        if [[ $path == *:* ]]; then dest=${path#*:} path=${path%%:*}; fi
        path=$(readlink -f "$path")
        # Hard links cost nothing; where they are not to be had (another file system), a sparse copy.
        cp -al "$path" "$box/$n" 2>/dev/null || { rm -rf "${box:?}/$n"; cp -a --sparse=always "$path" "$box/$n"; }
        printf '%s %s\n' "$n" "${dest:-/with/${path##*/}}" >>"$box/index"
        n=$((n + 1))
    done
    write_command "$box/command"
    image_of "$box" "$RUN/with"
    rm -rf "$box"
}

start_machine() {
    # Each of these takes tenths of a second off the start, as does q35, whose ACPI routes a PCI device's interrupt in
    # 20 ms (pc: 300 ms). Without ACPI altogether nested paging hangs.
    local append='console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests tsc=reliable noreplace-smp'
    append+=" rig.limit=$TIMEOUT"
    local disk disks=("tools=$TOOLS,readonly=on" "with=$RUN/with,readonly=on" "scratch=$RUN/scratch${SCRATCH_IOPS:+,throttling.iops-total=$SCRATCH_IOPS}")
    local qemu=(qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu "$CPU" -smp "$CPUS" -m "$MEMORY"
        -nodefaults -no-user-config -display none -no-reboot -kernel "$KERNEL" -initrd "$INITRAMFS"
        -chardev "file,id=log,path=$RUN/log" -serial chardev:log
        # Without ioeventfd a write to a port is in the host's file when the guest's write returns: nothing is in
        # flight when the machine reports its end.
        -device virtio-serial-pci,ioeventfd=off
        -chardev "pipe,id=monitor,path=$RUN/monitor" -mon chardev=monitor)
    if [[ -n $DOTNET ]]; then disks+=("dotnet=$DOTNET,readonly=on"); fi
    for disk in "${disks[@]}"; do
        qemu+=(-drive "if=none,format=raw,cache=unsafe,discard=unmap,id=${disk%%=*},file=${disk#*=}"
            -device "virtio-blk-pci,drive=${disk%%=*},serial=${disk%%=*}")
    done
    local nr=0 port
    for port in control stdout stderr out; do
        nr=$((nr + 1))
        qemu+=(-chardev "file,id=$port,append=on,path=$RUN/$port" -device "virtserialport,nr=$nr,chardev=$port,name=$port")
    done
    # See `pulse` in attend_machine.
    qemu+=(-chardev "pipe,id=pulse,path=$RUN/pulse" -device virtserialport,nr=5,chardev=pulse,name=pulse)
    if [[ -n $OUT ]]; then append+=' rig.out'; fi
    if [[ $ACTION == shell ]]; then
        append+=' rig.shell'
        qemu+=(-chardev stdio,id=terminal,signal=off -device virtconsole,nr=0,chardev=terminal)
    fi
    # No rig, no machine: the kernel sees to it should this script be killed.
    exec setpriv --pdeathsig KILL "${qemu[@]}" -append "$append" 2>>"$RUN/qemu.log"
}

# attend_machine: follows the machine to its end. Sets STATUS, or REASON where it did not come to one.
# Once a second it sends a byte, `pulse`, which is an interrupt: QEMU 7.2 loses one now and then, when its timer thread raises it while VMRUN
# or #VMEXIT changes the same word. The local APIC keeps it pending and raises it again with the next one, but a processor that sleeps
# and has lost its timer's would never see a next one.
attend_machine() {
    local line size seen=0 pulses=0 heard=$SECONDS deadline=$((SECONDS + TIMEOUT + GRACE)) out err
    REASON='' STATUS='' STARTED=0
    rm -f "$RUN/control"
    rm -f "$RUN/monitor".* "$RUN/pulse".*
    mkfifo "$RUN/control" "$RUN/monitor.in" "$RUN/monitor.out" "$RUN/pulse.in" "$RUN/pulse.out"
    exec 7<>"$RUN/control" 6<&0 4<>"$RUN/pulse.in"
    truncate -s 0 "$RUN/stdout" "$RUN/stderr" "$RUN/log"
    start_machine <&6 &
    MACHINE=$!
    tail -c +1 -s 0.05 --pid="$MACHINE" -f "$RUN/stdout" & out=$!
    tail -c +1 -s 0.05 --pid="$MACHINE" -f "$RUN/stderr" >&2 & err=$!
    while [[ -z $STATUS && -z $REASON ]]; do
        if IFS= read -r -t 1 line <&7; then
            case $line in
                exit\ *) STATUS=${line#exit } ;;
                start) STARTED=1 ;;
            esac
            heard=$SECONDS
            continue
        fi
        # Not more than the pipe holds: a machine that never opens its end is no reason to wait.
        if (( pulses++ < 4096 )); then printf . >&4; fi
        size=$(stat -c %s "$RUN/log")
        if (( size > seen )); then seen=$size heard=$SECONDS; fi
        if ! kill -0 "$MACHINE" 2>/dev/null; then REASON='the machine ended by itself'
        elif ! kill -0 "$out" 2>/dev/null; then STATUS=141    # nobody reads on: what SIGPIPE would have made of it
        elif (( SECONDS > deadline )); then STATUS=124; say "the machine did not end within $TIMEOUT s"
        elif (( SECONDS - heard > SILENCE )); then REASON="the machine stood still for $SILENCE s"; examine_machine
        fi
    done
    end_machine
    exec 4>&-
    wait "$out" "$err" || true
}

# examine_machine: what its processor is doing, for the log: QEMU has been seen to let a machine sleep with no timer set.
examine_machine() {
    exec 5<>"$RUN/monitor.out"
    printf 'info registers\ninfo lapic\ninfo status\n' >"$RUN/monitor.in"
    timeout 3 cat <&5 | tr -d '\r' | grep -E '^ *(RIP|EFL|CR0|timer|status|ISR|IRR|VM status)|HLT=' >>"$RUN/log" || true
    exec 5>&-
}

machine_log() { sed "/TCG doesn't support/d" "$RUN/qemu.log" | cat - "$RUN/log" | tail -n "$1" >&2; }

run_emulated() {
    prepare_images "$WANT_DOTNET" "$WANT_QEMU"
    make_with
    local attempt
    # Once more where the machine is to blame and not the command: it never got to it, or stood still.
    for attempt in 1 2; do
        cp --sparse=always "$SCRATCH" "$RUN/scratch"
        attend_machine
        if [[ -n $STATUS || $attempt == 2 ]]; then break; fi
        if grep -q '^rig: init' "$RUN/log" && [[ $REASON != *'stood still'* ]]; then break; fi
        say "$REASON$( (( STARTED )) || echo ' before its command ran'); trying once more. The end of its log:"
        machine_log 12
    done
    if [[ -z $STATUS ]]; then
        say "$REASON; the end of its log:"
        machine_log 25
        exit 125
    fi
    if [[ -s $RUN/out ]]; then tar -C "$OUT" --no-same-owner -xf "$RUN/out"; fi
    exit "$STATUS"
}
