# SPDX-License-Identifier: Apache-2.0
# Sourced by the demo and the soaks: a folder of their own with a lab, the host's service and the agents.
# A side is `host` or a VM. What fails leaves the folder and says where it is.
#   windows_word WORD               whether it is one of those of the option --windows: host, agent, both
#   world_begin NAME BUILD VM...    makes the folder and goes there
#   world_windows WORD DIR          before world_lab: what WORD says is the Windows programs of a build
#                                   folder, under Wine, each side with its state in a prefix of its own
#   world_lab [OPTION...]           starts the lab, and what the Windows sides need
#   start SIDE, stop SIDE           its service; stop: it has to end well
#   strike_down SIDE                ends it with SIGKILL
#   pair SIDE PEER                  by fingerprint, as soon as the peer has shown itself
#   world_up                        world_lab, everything started and paired
#   on SIDE WORD...                 the kvpbus command at a side, for a minute at most
#   kvpbus_words SIDE               what runs it there, for what goes on for longer; into `words`
#   world_down                      ends all that, which has to end well
# Of bash: the names here are used by what sources this.
# shellcheck shell=bash disable=SC2034

# shellcheck source=scripts/wine.bash
. "$(dirname "${BASH_SOURCE[0]}")/wine.bash"

declare -A pid=() windows=()

windows_word() {
    [[ $1 = host || $1 = agent || $1 = both ]]
}

world_begin() {
    name=$1 build=$(cd "$2" && pwd) begun=$SECONDS root=$PWD
    folder=$(mktemp -d "/tmp/kvpbus-$name-XXXXXX")
    lab=$build/lab/kvpbus-lab
    shift 2
    vms=("$@")
    cd "$folder" || exit
    trap world_end EXIT
    trap 'exit 130' INT TERM
}

world_end() {
    local status=$? job side
    trap - EXIT INT TERM
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    for side in "${!windows[@]}"; do wine_end "$folder/$side.wine"; done
    wait
    [ "$status" -ne 0 ] && echo "$name: failed after $((SECONDS - begun)) s; see $folder" >&2
    [ "$status" -eq 0 ] && rm -rf "$folder"
    exit "$status"
}

world_windows() {
    local sides=() side
    [ "$1" = agent ] || sides+=(host)
    [ "$1" = host ] || sides+=("${vms[@]}")
    for side in "${sides[@]}"; do windows[$side]=$(cd "$root" && cd "$2" && pwd); done
}

until_true() { # until_true SECONDS COMMAND...
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || { echo "$name: in vain: $*" >&2; return 1; }
        sleep 0.05
    done
}

# --- the lab ---

# One in which the lab is a Hyper-V host, and the machine a guest.
make_prefix() { # make_prefix SIDE
    KVPBUS_WINDOWS_BUILD=${windows[$1]} "$root/scripts/wine-lab" "$folder/$1.wine" lab >"$1.wine.log" 2>&1
}

start_integration() { # start_integration VM
    local words
    wine_words "$folder/$1.wine"
    "${words[@]}" wine 'C:\kvpbus-lab\kvpbus-lab-integration.exe' "127.0.0.1:$(cat lab/host.port)" "$1" \
        >"$1.integration.log" 2>&1 &
    pid[$1.integration]=$!
}

world_lab() { # world_lab [OPTION...]: of the lab
    local vm side options=("$@") makers=()
    [ ${#windows[@]} = 0 ] || options+=(--tcp)
    for vm in "${vms[@]}"; do
        if [ -n "${windows[$vm]:-}" ]; then options+=(--windows-vm "$vm"); else options+=(--vm "$vm"); fi
    done
    "$lab" run lab "${options[@]}" >lab.log 2>&1 &
    pid[lab]=$!
    until_true 20 grep -q ^ready lab.log
    for side in "${!windows[@]}"; do
        make_prefix "$side" &
        makers+=($!)
    done
    for side in "${makers[@]}"; do wait "$side"; done
    for vm in "${vms[@]}"; do [ -z "${windows[$vm]:-}" ] || start_integration "$vm"; done
}

# --- the services ---

start() {
    local program=guest words
    [ "$1" != host ] || program=host
    if [ -n "${windows[$1]:-}" ]; then
        wine_words "$folder/$1.wine"
        words+=(wine "${windows[$1]}/$program/kvpbus-$program.exe")
    elif [ "$1" = host ]; then
        words=("$build/host/kvpbus-host" --store lab:lab/host.sock --state host.state --socket host.ctl)
    else
        words=("$build/guest/kvpbus-guest" --store "pool:lab/vm/$1/kvp" --state "$1.state" --socket "$1.ctl")
    fi
    "${words[@]}" >>"$1.log" 2>&1 &
    pid[$1]=$!
}

strike_down() {
    kill -KILL "${pid[$1]}"
    wait "${pid[$1]}" 2>/dev/null || true
    unset "pid[$1]"
}

# What else runs at a side has a name with a dot behind the side's. For a program under Wine SIGINT is
# Ctrl-C.
stop() {
    local signal=TERM status=0
    [ -z "${windows[${1%%.*}]:-}" ] || signal=INT
    kill -"$signal" "${pid[$1]}"
    wait "${pid[$1]}" || status=$?
    unset "pid[$1]"
    [ $status = 0 ] || echo "$name: $1 has ended with $status" >&2
    return $status
}

# An integration service ends with the lab.
world_down() {
    local vm side
    for side in host "${vms[@]}" lab; do stop "$side" || return; done
    for vm in "${vms[@]}"; do [ -z "${windows[$vm]:-}" ] || wait "${pid[$vm.integration]}" || return; done
    for side in "${!windows[@]}"; do wine_end "$folder/$side.wine"; done
}

kvpbus_words() {
    if [ -n "${windows[$1]:-}" ]; then
        wine_words "$folder/$1.wine"
        words+=(wine "${windows[$1]}/cli/kvpbus.exe")
    else
        words=(env KVPBUS_SOCKET="$1.ctl" "$build/cli/kvpbus")
    fi
}

on() {
    local words
    kvpbus_words "$1"
    shift
    timeout 60 "${words[@]}" "$@"
}

pair() {
    local fingerprint
    fingerprint=$(on "$2" identity)
    until_true 30 on "$1" pair "$2" --fingerprint "$fingerprint"
}

world_up() {
    local side vm
    world_lab
    for side in host "${vms[@]}"; do start "$side"; done
    for side in host "${vms[@]}"; do until_true 30 on "$side" identity; done
    for vm in "${vms[@]}"; do
        pair host "$vm"
        pair "$vm" host
    done
    for side in host "${vms[@]}"; do true >"$side.got"; done
}

# --- what has arrived ---

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
    for side in host "${vms[@]}"; do
        on "$side" --json status | grep -q '"queued": 0,' || return 1
        on "$side" --json status | grep -q '"inbox": 0,' || return 1
    done
}

clean_stores() {
    local items vm
    for vm in "${vms[@]}"; do
        items=$(on host items "$vm") || return 1
        ! grep -Eq 'kvpbus\.[0-9]' <<<"$items" || return 1
    done
}
