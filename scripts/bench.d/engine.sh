# shellcheck shell=bash
# bench engine: what the host's kernel makes of the two ways to have many requests of one disk under way: io_uring, and blocking threads.

# run_engine [--quick]: fio on a file of this host, no guest and nothing of bgkvm's: 4 KiB at random, 32 requests at once from one ring, or
# one each from 16 threads (as many as bgkvm's workers), in turn; cached, and past the page cache.
run_engine() {
    local runs=5 seconds=4 direct rw engine run box
    case ${1-} in '') ;; --quick) runs=2 seconds=1 ;; *) usage ;; esac
    need_packages fio=fio jq=jq
    box=$(mktemp -d "${TMPDIR:-/var/tmp}/bgkvm-engine.XXXXXX")
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$box'" EXIT
    fio --name=make --filename="$box/file" --rw=write --bs=1M --size=1G --end_fsync=1 >/dev/null
    local common=(--name=engine "--filename=$box/file" --size=1G --bs=4k --time_based "--runtime=$seconds" --group_reporting --output-format=json --thread)
    for ((run = 0; run < runs; run++)); do
        for direct in 0 1; do
            for rw in randread randwrite; do
                for engine in io_uring threads; do
                    local how=(--ioengine=io_uring --iodepth=32)
                    if [[ $engine == threads ]]; then how=(--ioengine=psync --numjobs=16); fi
                    fio "${common[@]}" --rw=$rw --direct=$direct "${how[@]}" |
                        jq -r --arg key "$rw $direct $engine" '"\($key) \(.jobs[0] | .read.iops + .write.iops | floor)"' >>"$box/results"
                done
            done
        done
    done
    printf '| 4 KiB at random | io_uring, 32 deep | 16 blocking threads | threads / io_uring |\n|---|---:|---:|---:|\n'
    for rw in randread randwrite; do
        for direct in 0 1; do
            awk -v rw=$rw -v direct=$direct '
                function median(a, n,   i, j, t) { for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j-1] > a[j]; j--) { t = a[j]; a[j] = a[j-1]; a[j-1] = t } return a[int((n + 1) / 2)] }
                $1 == rw && $2 == direct { if ($3 == "threads") t[++n] = $4; else u[++m] = $4 }
                END { a = median(u, m); b = median(t, n)
                      printf "| %s, %s | %d/s | %d/s | %.2f |\n", rw == "randread" ? "read" : "write", direct ? "past the page cache" : "cached", a, b, b / a }' "$box/results"
        done
    done
}
