# SPDX-License-Identifier: Apache-2.0
# Sourced by what runs Windows programs under Wine, without a display:
#   wine_prefix DIR           makes a prefix there, a copy of build/wine-prefix, which is made at the first use
#   wine_guest DIR            gives it the registry keys that a Hyper-V guest has
#   wine_in DIR COMMAND...    runs a command (wine PROGRAM.exe ...) in it
#   wine_words DIR            the words to put before such a command, in `words`
#   wine_sure DIR COMMAND...  the same of what may be done twice: tried again when it fails
#   wine_end DIR              ends what runs in it, wineserver included
# A copy shares its files with the others and has a registry of its own: programs may make files in it,
# and must not write into those that Wine has put there.
# shellcheck shell=bash

wine_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Of the helpers that Wine would fetch from the network there are none; what it reports is about itself.
wine_words() {
    words=(env -u DISPLAY WINEPREFIX="$1" WINEARCH=win64 WINEDEBUG="${WINEDEBUG:--all}"
        WINEDLLOVERRIDES='mscoree,mshtml=')
}

wine_in() {
    local words
    wine_words "$1"
    shift
    "${words[@]}" "$@"
}

# One of these commands failed once, on a busy machine, without a word, and not in 270 prefixes that were
# made to see it again. Why is not known.
wine_sure() {
    wine_in "$@" || { sleep 0.5; wine_in "$@"; } || { sleep 2; wine_in "$@"; }
}

wine_end() {
    wine_in "$1" wineserver -k 2>/dev/null || true # -k looks at no further option
    wine_in "$1" wineserver -w 2>/dev/null || true
}

# One of several that begin at once makes it; one of another Wine is made anew.
wine_template() {
    local template=$wine_root/build/wine-prefix made
    made=$(wine --version 2>/dev/null) || { echo 'there is no wine: scripts/install-deps' >&2; return 1; }
    mkdir -p "$wine_root/build"
    (
        flock 9
        [ "$(cat "$template/made-by" 2>/dev/null)" != "$made" ] || exit 0
        rm -rf "$template" "$template.new"
        if ! wine_in "$template.new" wineboot -i >"$template.log" 2>&1 ||
            ! wine_in "$template.new" winecfg -v win10 >>"$template.log" 2>&1 ||
            ! wine_in "$template.new" wineserver -w; then
            echo "no Wine prefix could be made: see $template.log" >&2
            exit 1
        fi
        echo "$made" >"$template.new/made-by"
        mv "$template.new" "$template"
    ) 9>"$wine_root/build/wine-prefix.lock"
}

wine_prefix() {
    local prefix=$1 registry
    wine_template || return
    cp -al "$wine_root/build/wine-prefix" "$prefix" 2>/dev/null ||
        { rm -rf "$prefix" && cp -a "$wine_root/build/wine-prefix" "$prefix"; } || return
    for registry in "$prefix"/*.reg; do
        cp --remove-destination "$registry" "$registry.own" && mv "$registry.own" "$registry" || return
    done
    # Wine knows a prefix by its inode (wineserver(1)), which a prefix that is gone may have had. Not seen.
    wine_end "$prefix"
}

wine_guest() {
    local prefix=$1 name
    {
        printf 'Windows Registry Editor Version 5.00\r\n'
        for name in Auto External Guest 'Guest\Parameters'; do
            printf '\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Virtual Machine\\%s]\r\n' "$name"
        done
    } >"$prefix/drive_c/guest.reg"
    wine_sure "$prefix" wine reg import 'C:\guest.reg' /reg:64 >/dev/null
}
