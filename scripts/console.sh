# shellcheck shell=bash
# Talking to a guest's serial console: source it, set CONSOLE_IN and CONSOLE_OUT to the file descriptors that lead to and
# from it. What was read and not yet matched is in CONSOLE_TEXT.

CONSOLE_IN='' CONSOLE_OUT='' CONSOLE_TEXT='' CONSOLE_BEFORE='' CONSOLE_FIRST=''

# await REGEX [SECONDS]: reads until REGEX matches, and perhaps on; BASH_REMATCH holds the match, CONSOLE_BEFORE what came before it. The limit is for
# a guest that hangs: generous, because an emulated one on a busy host is slow.
await() {
    local deadline=$((SECONDS + ${2:-120})) char more
    until [[ $CONSOLE_TEXT =~ $1 ]]; do
        if ! IFS= read -r -d '' -N 1 -t $((deadline > SECONDS ? deadline - SECONDS : 1)) -u "$CONSOLE_OUT" char; then
            return 1
        fi
        CONSOLE_TEXT+=$char
        # All that is there, before it is looked at again: a boot prints thousands of characters.
        for ((more = 0; more < 4096; more++)); do
            if ! read -r -t 0 -u "$CONSOLE_OUT" || ! IFS= read -r -d '' -N 1 -u "$CONSOLE_OUT" char; then break; fi
            CONSOLE_TEXT+=$char
        done
        if (( SECONDS > deadline )); then return 1; fi
    done
    CONSOLE_BEFORE=${CONSOLE_TEXT%%"${BASH_REMATCH[0]}"*}
    CONSOLE_TEXT=${CONSOLE_TEXT#*"${BASH_REMATCH[0]}"}
}

tell() { printf '%s\n' "$*" >&"$CONSOLE_IN"; }

# log_in [SECONDS]: waits for the login prompt and logs in as root; what came before the prompt is in CONSOLE_FIRST.
log_in() {
    await 'login: ' "${1:-120}" || return 1
    CONSOLE_FIRST=$CONSOLE_BEFORE
    tell root && await '# ' 120
}

# ask COMMAND [SECONDS]: runs COMMAND in the guest's shell and prints its output; returns its status, 255 for no answer.
# Control characters mark where output begins and ends: in the echo of the command they are still backslashes.
ask() {
    tell "printf '\\002'; $1; printf '\\003%s\\003' \$?"
    await $'\002' "${2:-120}" && await $'\003([0-9]+)\003' "${2:-120}" || return 255
    printf '%s' "${CONSOLE_BEFORE//$'\r'/}"
    return "${BASH_REMATCH[1]}"
}
