# shellcheck shell=bash
# bash completion for bgkvm. The program itself says what can stand at the cursor; where it has nothing to say, a file can.
_bgkvm() {
    local word=${COMP_WORDS[COMP_CWORD]}
    mapfile -t COMPREPLY < <(
        compgen -W "$("${COMP_WORDS[0]}" "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null | grep -v '^[/-]?$\|^/')" -- "$word"
    )
}
complete -o default -F _bgkvm bgkvm
