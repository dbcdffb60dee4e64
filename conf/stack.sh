#!/bin/bash
#
# stack.sh: a complete private chat server below one directory.
#
#     stack.sh run      start, supervise, stop everything on Ctrl-C
#     stack.sh up       start in the background; starts what is missing
#     stack.sh down     stop; the data stay
#     stack.sh status   show what is running
#     stack.sh clean    stop and delete the directory
#
# PostgreSQL, Redis, the workers and nginx, each with its own data, sockets and
# log below $CHAT_HOME; no system service is touched. Called
# from `make run|up|down`, tests/stack.py and by hand.
#
#   CHAT_HOME          its directory (run/ in this checkout)
#   CHAT_BUILD         where chat-worker, chatctl and the module are (build/)
#   CHAT_LISTEN        address of nginx (127.0.0.1)
#   CHAT_HTTP_PORT     8080
#   CHAT_HTTPS_PORT    8443
#   CHAT_PG            libpq DSN of a PostgreSQL to use instead of a private one
#   CHAT_REDIS         URL of a Redis to use instead: redis://host:port/db
#   CHAT_NGINX         nginx to run (the packaged one)
#   CHAT_NGINX_WORKERS worker_processes (auto)
#   CHAT_WAIT          seconds to wait for readiness (60)
#
# Any key of workers.conf can also be set as CHAT_<KEY>: CHAT_N_MESSAGE=4.

set -uo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=${here%/*}

build=${CHAT_BUILD:-$root/build}
listen=${CHAT_LISTEN:-127.0.0.1}
http_port=${CHAT_HTTP_PORT:-8080}
https_port=${CHAT_HTTPS_PORT:-8443}
wait_s=${CHAT_WAIT:-60}
nginx_bin=${CHAT_NGINX:-$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx)}
own_pg=${CHAT_PG:-}
own_redis=${CHAT_REDIS:-}

say() { [ -n "${quiet:-}" ] || printf '%s\n' "$*"; }
die() { printf 'stack: %s\n' "$*" >&2; exit 1; }

# in the order of starting
. "$here/stack/home.sh"
. "$here/stack/process.sh"
. "$here/stack/stores.sh"
. "$here/stack/workers.sh"
. "$here/stack/nginx.sh"

# ------------------------------------------------------------------ commands

lock() {
    exec 9>"$home/.lock" || die "cannot write to $home"
    flock -w 120 9 || die "another stack.sh is at work in $home"
}

unlock() { exec 9>&-; }

start_all() {
    check_ports
    make_home
    start_pg
    start_redis
    prepare_workers
    start_workers
    make_cert
    prepare_nginx
    start_nginx
    touch "$home/.up"
}

stop_all() {
    rm -f "$home/.up"
    stop nginx "$home/nginx.pid" TERM 10
    sweep_nginx
    stop "the workers" "$home/pool.pid" TERM 15
    sweep_workers
    stop Redis "$home/redis/redis.pid" TERM 15
    # fast shutdown: does not wait for sessions
    stop PostgreSQL "$home/pg/data/postmaster.pid" INT 30
}

cmd_up() {
    find_home create
    lock
    start_all
    until_true $((wait_s * 10)) ready || {
        unlock
        echo "stack: not ready after $wait_s s; the logs are in $log" >&2
        curl -s -m 2 "http://$(reach):$http_port/readyz" >&2
        echo >&2
        tail -n 5 "$log/workers.log" "$log/nginx-error.log" >&2
        exit 1
    }
    unlock
    say_where
}

say_where() {
    local at

    at=$(reach)
    say "
ready:  http://$at:$http_port   https://$at:$https_port (self-signed)
        ws://$at:$http_port/ws
logs:   $log

Two phones that write to each other, over REST and WebSocket:

  /usr/bin/python3 $here/hello.py http://$at:$http_port

Log in by hand (the code comes in the answer; in production by SMS):

  curl http://$at:$http_port/api/v1/auth/code -H 'Content-Type: application/json' \\
       -d '{\"phoneNumber\":\"+15550100001\"}'
"
}

cmd_down() {
    find_home || { say "stack: nothing there"; return 0; }
    lock
    stop_all
    unlock
}

# Waits for Ctrl-C and restarts processes that died. Also ends when `down` is
# run elsewhere.
cmd_run() {
    find_home create
    trap 'trap "" INT TERM HUP; cmd_down' EXIT
    trap 'echo; exit 0' INT TERM HUP
    cmd_up
    say "Ctrl-C stops everything."
    while [ -e "$home/.up" ]; do
        sleep 2 9>&- &
        wait $!
        [ ! -e "$home/.up" ] || all_there || (
            say "stack: something has ended, starting it again"
            lock
            [ ! -e "$home/.up" ] || start_all
        )
    done
}

parts() {
    [ -n "$own_pg" ] || echo "postgresql $home/pg/data/postmaster.pid"
    [ -n "$own_redis" ] || echo "redis $home/redis/redis.pid"
    echo "workers $home/pool.pid"
    echo "nginx $home/nginx.pid"
}

all_there() {
    local name file
    while read -r name file; do
        pid_of "$file" >/dev/null || return 1
    done < <(parts)
}

cmd_status() {
    local name file pid rc=0

    find_home || { echo "stack: nothing there"; return 3; }
    while read -r name file; do
        if pid=$(pid_of "$file"); then
            printf '%-12s running, pid %s\n' "$name" "$pid"
        else
            printf '%-12s stopped\n' "$name"
            rc=3
        fi
    done < <(parts)
    if ready; then
        echo "readyz       200"
    else
        echo "readyz       no"
        rc=3
    fi
    return $rc
}

cmd_clean() {
    local asked=${CHAT_HOME:-$root/run}

    find_home || return 0
    [ -e "$home/.chat-stack" ] || die "$home is not a stack's"
    cmd_down
    case $sock in /tmp/chat-stack-*) rm -rf "$sock" ;; esac
    rm -rf "$home"
    [ ! -L "$asked" ] || rm -f "$asked"
}

case ${1:-} in
    run|up|down|status|clean) "cmd_$1" ;;
    *)
        sed -n 's/^#     \(stack.sh.*\)/conf\/\1/p' "$0" >&2
        exit 2
        ;;
esac
