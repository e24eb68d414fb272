# SPDX-License-Identifier: Apache-2.0
# Sourced by the soaks: a folder of their own with a lab of one VM, the host's service and the agent,
# paired. What fails leaves the folder and says where it is.
#   world_begin NAME BUILD   makes the folder and goes there
#   world_up                 starts all and pairs
# Of bash: the names here are used by what sources this.
# shellcheck shell=bash disable=SC2034

declare -A pid

world_begin() {
    name=$1 build=$(cd "$2" && pwd) begun=$SECONDS folder=$(mktemp -d "/tmp/kvpbus-soak-XXXXXX")
    kvpbus=$build/cli/kvpbus lab=$build/lab/kvpbus-lab
    cd "$folder" || exit
    trap world_end EXIT
    trap 'exit 130' INT TERM
}

world_end() {
    local status=$? job
    trap - EXIT INT TERM
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    wait
    [ "$status" -ne 0 ] && echo "$name: failed after $((SECONDS - begun)) s; see $folder" >&2
    [ "$status" -eq 0 ] && rm -rf "$folder"
    exit "$status"
}

start() { # start host|agent
    if [ "$1" = host ]; then
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
    fingerprint=$("$kvpbus" --socket "$3.ctl" identity)
    until_true 30 "$kvpbus" --socket "$1.ctl" pair "$2" --fingerprint "$fingerprint"
}

world_up() {
    "$lab" run lab --vm web >lab.log 2>&1 &
    until_true 20 grep -q ^ready lab.log
    start host
    start agent
    until_true 20 "$kvpbus" --socket host.ctl identity
    until_true 20 "$kvpbus" --socket agent.ctl identity
    pair host web agent
    pair agent host host
    touch host.got agent.got
}

# A message whose acknowledgement was cut off is leased again, with the same id and a higher try.
receive_all() { # receive_all SIDE: until there is a file `stop`; JSON lines go to SIDE.got
    while [ ! -e stop ]; do
        "$kvpbus" --socket "$1.ctl" --json recv --follow --timeout 2s >>"$1.got" 2>>"$1.errors" || sleep 0.1
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
        "$kvpbus" --socket $side.ctl --json status | grep -q '"queued": 0,' || return 1
        "$kvpbus" --socket $side.ctl --json status | grep -q '"inbox": 0,' || return 1
    done
}

clean_stores() {
    local items
    items=$("$kvpbus" --socket host.ctl items web) || return 1
    ! grep -Eq 'kvpbus\.[0-9]' <<<"$items"
}
