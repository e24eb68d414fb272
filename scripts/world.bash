# SPDX-License-Identifier: Apache-2.0
# Sourced by the soaks: a folder of their own with a lab of one VM, the host's service and the agent,
# paired. What fails leaves the folder and says where it is.
#   world_begin NAME BUILD   makes the folder and goes there
#   world_windows SIDE DIR   before world_up: this side (host or agent) is the Windows program of a build
#                            folder, under Wine; it has its state in its prefix
#   world_up                 starts all and pairs
#   on SIDE COMMAND...       the kvpbus command at a side
# Of bash: the names here are used by what sources this.
# shellcheck shell=bash disable=SC2034

declare -A pid windows=()

world_begin() {
    name=$1 build=$(cd "$2" && pwd) begun=$SECONDS folder=$(mktemp -d "/tmp/kvpbus-soak-XXXXXX") root=$PWD
    lab=$build/lab/kvpbus-lab
    cd "$folder" || exit
    trap world_end EXIT
    trap 'exit 130' INT TERM
}

world_end() {
    local status=$? job
    trap - EXIT INT TERM
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    for job in "${!windows[@]}"; do WINEPREFIX=$folder/$job.wine wineserver -k 2>/dev/null || true; done
    wait
    [ "$status" -ne 0 ] && echo "$name: failed after $((SECONDS - begun)) s; see $folder" >&2
    [ "$status" -eq 0 ] && rm -rf "$folder"
    exit "$status"
}

world_windows() {
    windows[$1]=$(cd "$root" && cd "$2" && pwd)
}

# A prefix in which the lab is a Hyper-V host, and the machine a guest.
make_prefix() { # make_prefix SIDE
    KVPBUS_WINDOWS_BUILD=${windows[$1]} "$root/scripts/wine-lab" "$folder/$1.wine" "$folder/lab" >"$1.wine.log"
}

in_wine() { # in_wine SIDE PROGRAM...: in its place, so that a signal to this is one to it
    local prefix=$folder/$1.wine
    shift
    exec env -u DISPLAY WINEPREFIX="$prefix" WINEDEBUG=-all wine "$@"
}

on() {
    local side=$1
    shift
    if [ -n "${windows[$side]:-}" ]; then
        (in_wine "$side" "${windows[$side]}/cli/kvpbus.exe" "$@")
    else
        "$build/cli/kvpbus" --socket "$side.ctl" "$@"
    fi
}

start() { # start host|agent
    if [ -n "${windows[$1]:-}" ]; then
        local program=host
        [ "$1" = host ] || program=guest
        (in_wine "$1" "${windows[$1]}/$program/kvpbus-$program.exe") >>"$1.log" 2>&1 &
    elif [ "$1" = host ]; then
        "$build/host/kvpbus-host" --store lab:lab/host.sock --state host --socket host.ctl >>host.log 2>&1 &
    else
        "$build/guest/kvpbus-guest" --store pool:lab/vm/web/kvp --state agent --socket agent.ctl \
            >>agent.log 2>&1 &
    fi
    pid[$1]=$!
}

until_true() { # until_true SECONDS COMMAND...
    local tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "$name: in vain: $*" >&2; return 1; }
        sleep 0.1
    done
}

pair() { # pair SIDE PEER OTHER-SIDE
    local fingerprint
    fingerprint=$(on "$3" identity | tr -d '\r')
    until_true 30 on "$1" pair "$2" --fingerprint "$fingerprint"
}

world_up() {
    local side kind=--vm
    [ -z "${windows[agent]:-}" ] || kind=--windows-vm
    "$lab" run lab --tcp $kind web >lab.log 2>&1 &
    until_true 20 grep -q ^ready lab.log
    for side in "${!windows[@]}"; do make_prefix "$side"; done
    if [ $kind = --windows-vm ]; then
        (in_wine agent 'C:\kvpbus-lab\kvpbus-lab-integration.exe' "127.0.0.1:$(cat lab/host.port)" web) \
            >integration.log 2>&1 &
    fi
    start host
    start agent
    until_true 30 on host identity
    until_true 30 on agent identity
    pair host web agent
    pair agent host host
    touch host.got agent.got
}

# A message whose acknowledgement was cut off is leased again, with the same id and a higher try.
receive_all() { # receive_all SIDE: until there is a file `stop`; JSON lines go to SIDE.got
    while [ ! -e stop ]; do
        on "$1" --json recv --follow --timeout 2s >>"$1.got" 2>>"$1.errors" || sleep 0.1
    done
}

# Every number of SENDER.sent ("STREAM NUMBER") once; of those that were not accepted at most one; in
# order; from new ids only.
check_arrivals() { # check_arrivals SENDER RECEIVER
    sed -n 's/.*"id": "\([^"]*\)".*"try": \([0-9]*\), .*"text": "\([0-9]*\) \([0-9]*\)".*/\1 \2 \3 \4/p' "$2.got" >"$2.seen"
    awk -v who="$1" '
        FNR == NR { sent[$2] = 1; total++; next }
        ($1 in ids) { if ($2 < 2) { print who ": twice: " $0; bad = 1 } next }
        { ids[$1] = 1
          if ($4 in got) { print who ": two ids: " $4; bad = 1 }
          got[$4] = 1; arrived++
          if ($4 <= last[$3]) { print who ": out of order: " $4 " after " last[$3]; bad = 1 }
          last[$3] = $4 }
        END { for (n in sent) if (!(n in got)) { print who ": lost: " n; bad = 1 }
              printf "%s: %d accepted, %d arrived\n", who, total, arrived
              exit bad || total == 0 }' "$1.sent" "$2.seen"
}

drained() {
    local side
    for side in host agent; do
        on $side --json status | grep -q '"queued": 0,' || return 1
        on $side --json status | grep -q '"inbox": 0,' || return 1
    done
}

clean_stores() {
    local items
    items=$(on host items web) || return 1
    ! grep -Eq 'kvpbus\.[0-9]' <<<"$items"
}
