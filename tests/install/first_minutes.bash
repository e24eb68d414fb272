# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by test_packages: what a new user types in the first ten minutes, in terminals of 80
# columns and less, on the installed machine: doctor, a token at its documented places, a program
# that serves in either direction, a large file that survives a reset, the audit.
# It uses on, host, guest, live, until_true, quietly, fail, $leader, $scratch and $packages of
# test_packages.
tmux=(tmux -S "$scratch/terminals" -f /dev/null)

close_terminals() { "${tmux[@]}" kill-server 2>/dev/null || true; }

# terminal NAME USER SIDE: a shell of the user; kvpbus in it talks to the service of the side.
terminal() {
    # The prompt is the number of the command and how the last one ended.
    "${tmux[@]}" new-session -d -s "$1" -x 80 -y 40 nsenter -t "$leader" -m -u -i -n -p -r -w \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TERM=screen HOME=/tmp \
        PS1="(\\#:\$?) " KVPBUS_SOCKET="/run/kvpbus-$3/socket" \
        runuser -u "$2" -- sh -c 'cd /tmp && exec bash --noprofile --norc -i'
    declare -g "typed_$1=1"
    prompts "$1"
}

# screen NAME [-J]: what can be seen; -J joins the rows of a line that was too long.
screen() { "${tmux[@]}" capture-pane -p -t "$1" "${@:2}"; }

# prompts NAME: the shell waits for the next command; $ended is the status of the last one.
prompts() {
    local -n number=typed_$1
    local tries=600 last
    until last=$(screen "$1" | grep -v '^$' | tail -n 1) && [[ $last =~ ^\($number:([0-9]+)\)$ ]]; do
        [ $((tries -= 1)) -gt 0 ] || fail "the command in the terminal $1 does not end: $(screen "$1")"
        sleep 0.1
    done
    ended=${BASH_REMATCH[1]}
}

# types NAME LINE: on a clear screen, without waiting for its end.
types() {
    local -n count=typed_$1
    "${tmux[@]}" clear-history -t "$1"
    "${tmux[@]}" send-keys -t "$1" C-l
    "${tmux[@]}" send-keys -t "$1" -l "$2"
    "${tmux[@]}" send-keys -t "$1" Enter
    count=$((count + 1))
}

# enters NAME STATUS LINE WORDS: the command ends so, and its screen has the words.
enters() {
    types "$1" "$3"
    prompts "$1"
    [ "$ended" = "$2" ] || fail "'$3' ends with $ended and not with $2: $(screen "$1")"
    screen "$1" -J >"$scratch/screen.log"
    grep -q -- "$4" "$scratch/screen.log" || fail "'$3' does not say '$4': $(screen "$1")"
}

# served NAME TOPIC PROGRAM ASKER PEER SUM: a program at one side answers the other.
served() {
    types "$1" "kvpbus serve $2 -- $3"
    enters "$4" 0 "kvpbus request $5 $2 --text hello" "$6"
    "${tmux[@]}" send-keys -t "$1" C-c
    prompts "$1"
}

# In a terminal that is too narrow for a whole bar; the VM is reset while the file travels.
send_large() {
    local tries=300
    on sh -c 'head -c 3000000 /dev/urandom >/tmp/big && chmod 644 /tmp/big'
    "${tmux[@]}" resize-window -t on_host -x 40
    types on_host 'kvpbus send web files.big --file big --class bulk --wait delivered'
    until screen on_host >"$scratch/screen.log" && grep -qE '^\[#+ *\] +[0-9]+%' "$scratch/screen.log"; do
        [ $((tries -= 1)) -gt 0 ] || fail "there is no progress to be seen: $(screen on_host)"
        sleep 0.05
    done
    [ "$(grep -c % "$scratch/screen.log")" = 1 ] || fail "the bar does not fit: $(screen on_host)"
    on systemctl kill --signal=KILL kvpbus-guest
    ! screen on_host | grep -q '^delivered' || fail 'the file had arrived before the reset'
    "$packages/lab/kvpbus-lab" ctl "$scratch/lab" reboot web >/dev/null
    prompts on_host
    screen on_host >"$scratch/screen.log"
    [[ $ended = 0 && $(<"$scratch/screen.log") == *$'\ndelivered '* ]] ||
        fail "the file does not survive a reset: $(screen on_host)"
    ! grep -q '%' "$scratch/screen.log" || fail "a bar is left over: $(screen on_host)"
    "${tmux[@]}" resize-window -t on_host -x 80
    until_true 'the agent is not started again' guest identity
    enters in_web 0 'kvpbus recv --topic files.big --timeout 20s --out got' ''
    enters in_web 0 'cmp got/* big' ''
}

# The other documented way to hand a token over, which has to work in the sandbox as well.
token_as_credential() {
    quietly guest unpair host
    quietly host unpair web
    quietly host enroll web --out /root/web.token
    on sh -c "printf '[Service]\nLoadCredential=kvpbus.enroll:/root/web.token\n' \
        >/etc/systemd/system/kvpbus-guest.service.d/token.conf"
    on systemctl daemon-reload
    on systemctl restart kvpbus-guest
    until_true 'the credential does not pair them' live
    on rm /etc/systemd/system/kvpbus-guest.service.d/token.conf /root/web.token
    on systemctl daemon-reload
    on systemctl restart kvpbus-guest
    until_true 'they do not stay paired without the credential' live
}

# A member of the group at the host, root in the VM; a second terminal each for what serves.
first_minutes() {
    terminal on_host olga host
    terminal at_host olga host
    terminal in_web root guest
    terminal at_web root guest
    enters on_host 1 'kvpbus doctor --side host' 'mend it: .*kvpbus enroll web'
    enters in_web 1 'kvpbus doctor --side guest' 'mend it: systemctl .*start kvpbus-guest'
    enters in_web 3 'kvpbus status' "'kvpbus doctor' says"
    enters in_web 0 'systemctl enable --now kvpbus-guest' ''
    until_true 'the host does not see the VM' host status web
    enters on_host 0 'kvpbus enroll web --out web.token' '/etc/kvpbus/enroll.token'
    enters in_web 0 'install -m 600 web.token /etc/kvpbus/enroll.token' ''
    until_true 'the token does not pair them' live
    on test ! -e /etc/kvpbus/enroll.token || fail 'the token stays'
    enters on_host 0 'kvpbus vms' '^web .* yes *live'
    served at_web file.hash sha256sum on_host web \
        "^$(printf hello | sha256sum | cut -c1-64)"
    served at_host app.loud 'tr a-z A-Z' in_web host '^HELLO'
    send_large
    enters on_host 0 'kvpbus audit verify' '^the audit fits'
    enters in_web 0 'kvpbus audit verify' '^the audit fits'
    close_terminals
}
