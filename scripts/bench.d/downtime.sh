# shellcheck shell=bash
# bench downtime: part by part, each in a file of its own, so that what is there need not be measured again.

# The report lives in one folder:
#   host.json samples/*.csv after/*.csv reboots/*.json    what was measured
#   report.md report.json *.svg *.png         what is made of it
downtime_parts() { # QUICK
    local memory=(128 256 768 2048 4096 8192) guests=(demo-128 demo-256 demo-768 debian-12-256 debian-12-768) part size
    if (( $1 )); then memory=(128 768) guests=(demo-256); fi
    for part in pauses slot fork copy qemu; do
        for size in "${memory[@]}"; do printf '%s-%s\n' "$part" "$size"; done
    done
    # Two guests at once, each with a second memory.
    for size in "${memory[@]}"; do if (( size <= 2048 )); then printf 'after-%s\n' "$size"; fi; done
    printf 'reboots-%s\n' "${guests[@]}"
}

measure_pauses() { # DIR PART QUICK: e.g. pauses-128
    local out=$1/samples/$2.csv options=()
    if (( $3 )); then options=(--quick); fi
    mkdir -p "$1/samples" "$1/logs"
    "$REPO/artifacts/bin/Downtime/release/Downtime" "${2%-*}" "${2##*-}" "$out.part" "${options[@]}" >"$1/logs/$2.log" 2>&1 ||
        { tail -n 20 "$1/logs/$2.log" >&2; return 1; }
    # "left out" and the table.
    grep -E '^Downtime: left out|^\|' "$1/logs/$2.log" || true
    mv "$out.part" "$out"
}

measure_after() { # DIR PART QUICK: e.g. after-128
    local out=$1/after/$2.csv cycles=10
    if (( $3 )); then cycles=3; fi
    mkdir -p "$1/after"
    "$REPO/artifacts/bin/Pauses/release/Pauses" after "$cycles" "${2##*-}" >"$out.part" || return 1
    mv "$out.part" "$out"
}

measure_reboots() { # DIR PART QUICK: e.g. reboots-debian-12-256
    local guest=${2#reboots-} runs=3 interval=1 images mode status=0
    local mib=${guest##*-}
    guest=${guest%-*}
    if (( $3 )); then runs=1; fi
    # An emulated processor has no time to answer every millisecond.
    mode=$("$REPO/scripts/rig" mode)
    if [[ $mode == emulated ]]; then interval=10; fi
    images=$("$REPO/scripts/guest-image" "$guest")
    mkdir -p "$1/reboots"
    rm -rf "$1/rig"
    "$REPO/scripts/rig" run --memory "$((3 * mib + 1536))" --timeout 1800 --out "$1/rig" --with "$images:/opt/guest" \
        --with "$REPO/artifacts/publish/reboots/Reboots:/opt/bench/Reboots" -- \
        /opt/bench/Reboots "$mode" "$guest" /opt/guest "$mib" "$runs" "$interval" /out/reboots.json || status=$?
    [[ -s $1/rig/reboots.json ]] || return 1
    if (( status )); then say "$2 was broken off: the report has the runs before that, and says how many"; fi
    mv "$1/rig/reboots.json" "$1/reboots/$guest-$mib.json"
    rm -rf "$1/rig"
}

run_downtime() {
    local quick=0 out='' parts=() part n=0 failed=() made
    while (( $# )); do
        case $1 in
            --quick) quick=1 ;;
            --into) out=${2:?--into needs a folder}; shift ;;
            --list) downtime_parts "$quick"; return ;;
            -*) usage ;;
            *) parts+=("$1") ;;
        esac
        shift
    done
    (( ${#parts[@]} )) || mapfile -t parts < <(downtime_parts "$quick")
    for part in "${parts[@]}"; do
        [[ $part =~ ^(pauses|slot|fork|copy|qemu|after|reboots-[a-z0-9-]+)-[0-9]+$ ]] || die "no such part: $part (--list prints them)"
    done
    [[ -r /dev/kvm && -w /dev/kvm ]] || die 'needs /dev/kvm, readable and writable'
    need_dotnet
    need_packages gcc=gcc libc6-dev qemu-system-x86_64=qemu-system-x86 setpriv=util-linux rsvg-convert=librsvg2-bin fonts-dejavu-core
    out=${out:-$REPO/artifacts/bench/downtime-$(date -u +%Y%m%dT%H%M%SZ)}
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    cd "$REPO" || return
    dotnet build bench/Downtime -c Release --nologo -v quiet "${DOTNET_ALONE[@]}"
    if [[ ${parts[*]} == *reboots* ]]; then
        "$REPO/scripts/build"
        dotnet publish bench/Reboots -c Release -o artifacts/publish/reboots --nologo -v quiet "${DOTNET_ALONE[@]}"
    fi
    for part in "${parts[@]}"; do
        n=$((n + 1))
        case $part in
            reboots-*) made=$out/reboots/${part#reboots-}.json ;;
            after-*) made=$out/after/$part.csv ;;
            *) made=$out/samples/$part.csv ;;
        esac
        if [[ -e $made ]]; then say "$n of ${#parts[@]}: $part is there already"; continue; fi
        say "$n of ${#parts[@]}: $part"
        case $part in
            reboots-*) measure_reboots "$out" "$part" "$quick" || failed+=("$part") ;;
            after-*) measure_after "$out" "$part" "$quick" || failed+=("$part") ;;
            *) measure_pauses "$out" "$part" "$quick" || failed+=("$part") ;;
        esac
        # After each part, so that a long measurement can be looked at, and one that was broken off has its report.
        report_downtime "$out"
    done
    say "results: $out/report.md"
    (( ${#failed[@]} == 0 )) || die "failed: ${failed[*]} (the same command with --into $out tries them again)"
}

report_downtime() { # DIR
    local chart
    "$REPO/artifacts/bin/Downtime/release/Downtime" report "$1"
    for chart in "$1"/*.svg; do
        if [[ -e $chart ]]; then rsvg-convert -z 1.5 -o "${chart%.svg}.png" "$chart"; fi
    done
}
