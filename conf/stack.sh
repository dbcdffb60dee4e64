#!/bin/bash
#
# stack.sh: a whole private chat server below one directory.
#
#     stack.sh run      start, watch and heal, stop everything on Ctrl-C
#     stack.sh up       start in the background; starts what is missing
#     stack.sh down     stop; the data stay
#     stack.sh status   what runs
#     stack.sh clean    stop and delete the directory
#
# PostgreSQL, Redis, the workers and nginx, each with its own data, sockets and
# log below $CHAT_HOME; nothing of the system's services is touched. Called
# from `make run|up|down`, tests/stack.py and by hand.
#
#   CHAT_HOME          where it lives (run/ beside this checkout)
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
# Any key of workers.conf may come as CHAT_<KEY> too: CHAT_N_MESSAGE=4.

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

# ------------------------------------------------------------------ identity
# Root starts nginx, which gives its rights away by itself; PostgreSQL refuses
# to run as root, and nothing else needs to. Anybody else runs it all as
# themselves.

me=$(id -u)
if [ "$me" -eq 0 ]; then
    pg_user=postgres svc_user=www-data
    for u in $pg_user $svc_user; do
        id "$u" >/dev/null 2>&1 || die "user $u does not exist:" \
            "install the packages first (conf/packages.sh run)"
    done
    as() {
        local user=$1
        shift
        setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups \
            -- "$@"
    }
else
    pg_user=$(id -un) svc_user=$pg_user
    as() { shift; "$@"; }
fi

# ---------------------------------------------------------------------- home

# Sets home (real path), sock, and the names of everything in it.
find_home() {
    local asked=${CHAT_HOME:-$root/run} sum

    case $asked in /*) ;; *) asked=$PWD/$asked ;; esac
    sum=$(printf %s "$asked" | cksum | cut -d' ' -f1)

    # a directory made elsewhere by an earlier run, see below
    if [ -L "$asked" ]; then
        home=$(readlink -m "$asked")
        mkdir -p "$home" || die "cannot create $home"
    else
        [ "${1:-}" = create ] || [ -d "$asked" ] || return 1
        mkdir -p "$asked" || die "cannot create $asked"
        home=$(cd "$asked" && pwd -P)
    fi

    # Below a directory that only root may enter, such as /root, neither
    # PostgreSQL nor nginx's workers reach their files.
    if ! as "$pg_user" test -x "$home" || ! as "$svc_user" test -x "$home"
    then
        if [ -L "$asked" ] || [ -n "$(ls -A "$home")" ]; then
            die "users $pg_user and $svc_user may not enter $home;" \
                "choose another CHAT_HOME or let them (chmod o+x)"
        fi
        rmdir "$home"
        home=/var/lib/chat-stack/$(basename "$asked")-$sum
        mkdir -p "$home" || die "cannot create $home"
        ln -s "$home" "$asked" || die "cannot create $asked"
        say "stack: $asked is not open to user $pg_user: the data are in $home"
    fi

    # make, nginx.conf and DSNs take such names apart
    case $home in
        *[!A-Za-z0-9/._+,@:=-]*)
            die "CHAT_HOME has a character that nginx.conf cannot hold: $home"
            ;;
    esac

    # a socket's name has at most 107 bytes
    sock=$home/sock
    if [ ${#sock} -gt 80 ]; then
        sock=/tmp/chat-stack-$me-$(printf %s "$home" | cksum | cut -d' ' -f1)
    fi

    log=$home/log
    worker_conf=$home/workers.conf
    nginx_conf=$home/nginx.conf
    pg_dsn=${own_pg:-host=$sock/pg user=chat dbname=chat}
    redis_url=${own_redis:-unix://$sock/app/redis.sock}
}

make_home() {
    local d

    touch "$home/.chat-stack"
    for d in "$log" "$home/nginx" "$home/nginx.d" "$home/tls" "$home/www" \
        "$home/bin" "$sock"
    do
        mkdir -p "$d" || die "cannot create $d"
    done
    [ "$(stat -c %u "$sock")" = "$me" ] || die "$sock is not ours"

    # only who may enter these may speak to what listens there
    for d in "$sock/app" "$home/redis" "$home/keys" "$home/worker"; do
        mkdir -p "$d" && chmod 700 "$d" || die "cannot create $d"
        [ "$me" -ne 0 ] || chown "$svc_user:" "$d"
    done
    mkdir -p "$sock/pg" "$home/pg" && chmod 700 "$home/pg"
    chmod 750 "$sock/pg"
    [ "$me" -ne 0 ] ||
        chown "$pg_user:$(id -gn "$svc_user")" "$home/pg" "$sock/pg"
}

# ----------------------------------------------------------------- processes

# A pid file's number, when that process lives and is of this stack: numbers
# are used again, and a file may be left from before a crash. Names say little;
# where it lives says it.
pid_of() {
    local pid state traces

    pid=$(head -1 "$1" 2>/dev/null) || return 1
    case $pid in ''|*[!0-9]*) return 1 ;; esac

    state=$(sed 's/.*) \(.\).*/\1/' "/proc/$pid/stat" 2>/dev/null) || return 1
    case $state in Z|X|'') return 1 ;; esac

    traces=$({ tr '\0' ' ' < "/proc/$pid/cmdline"
        readlink "/proc/$pid/exe" "/proc/$pid/cwd"; } 2>/dev/null)
    case $traces in
        *"$home"*|*"$sock"*) echo "$pid" ;;
        *) return 1 ;;
    esac
}

# until TRIES COMMAND...: every 0.1 s
until_true() {
    local n=$1
    shift
    while ! "$@" >/dev/null 2>&1; do
        n=$((n - 1))
        [ $n -gt 0 ] || return 1
        sleep 0.1
    done
}

gone() { ! kill -0 "$1" 2>/dev/null ||
    grep -q '^[0-9]* (.*) [ZX]' "/proc/$1/stat" 2>/dev/null; }

# stop NAME PIDFILE SIGNAL SECONDS: that signal, then SIGKILL
stop() {
    local pid

    pid=$(pid_of "$2") || { rm -f "$2"; return 0; }
    say "stack: stopping $1"
    kill "-$3" "$pid" 2>/dev/null
    # one that was stopped by SIGSTOP hears nothing else
    kill -CONT "$pid" 2>/dev/null
    until_true $(($4 * 10)) gone "$pid" || {
        say "stack: $1 does not end, killing it"
        kill -KILL "$pid" 2>/dev/null
        until_true 50 gone "$pid"
    }
    rm -f "$2"
}

# sweep DIRECTORY PROGRAM: ends the processes that a killed parent left
# behind. They are known by where they run (their working directory) and what
# they run, for nobody has written down their numbers.
sweep() {
    local dir pid exe left=()

    for dir in /proc/[0-9]*; do
        pid=${dir#/proc/}
        [ "$(readlink "$dir/cwd" 2>/dev/null)" = "$1" ] || continue
        exe=$(readlink "$dir/exe" 2>/dev/null)
        [ "${exe% (deleted)}" = "$2" ] || continue
        left+=("$pid")
    done
    [ ${#left[@]} -gt 0 ] || return 0

    kill -TERM "${left[@]}" 2>/dev/null
    kill -CONT "${left[@]}" 2>/dev/null
    for pid in "${left[@]}"; do
        until_true 30 gone "$pid" || kill -KILL "$pid" 2>/dev/null
        until_true 30 gone "$pid"
    done
}

sweep_nginx() { sweep "$home" "$(readlink -f "$nginx_bin")"; }
sweep_workers() { sweep "$home/worker" "$home/bin/chat-worker"; }

# ---------------------------------------------------------------- PostgreSQL

pg_bin() {
    local d
    d=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
    # data of an earlier version want their own server
    if [ -f "$home/pg/data/PG_VERSION" ]; then
        d=/usr/lib/postgresql/$(cat "$home/pg/data/PG_VERSION")/bin
    fi
    [ -x "$d/postgres" ] || d=$(dirname "$(command -v postgres)")
    [ -x "$d/postgres" ] || die "no PostgreSQL server found" \
        "(conf/packages.sh run installs it)"
    echo "$d"
}

pg_sql() {
    as "$pg_user" psql -X -q -At -v ON_ERROR_STOP=1 -h "$sock/pg" -U postgres \
        -d "$1" -c "$2"
}

make_pg() {
    local bin=$1 tmp=$home/pg/new

    say "stack: creating the database"
    rm -rf "$tmp"
    as "$pg_user" "$bin/initdb" -D "$tmp" -U postgres -A trust -E UTF8 \
        --locale=C.UTF-8 >>"$log/postgres-init.log" 2>&1 ||
        die "initdb failed, see $log/postgres-init.log"

    # terse: an error must not carry the row, with its phone number, to the log
    as "$pg_user" tee -a "$tmp/postgresql.conf" >/dev/null <<PG
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 200
shared_buffers = 128MB
log_error_verbosity = terse
log_line_prefix = '%m [%p] %a '
PG
    # the directory of the socket says who may come
    echo "local all all trust" |
        as "$pg_user" tee "$tmp/pg_hba.conf" >/dev/null
    # whole or not at all: a half-made cluster is made anew
    mv "$tmp" "$home/pg/data"
}

pg_start() {
    (cd / && as "$pg_user" "$1/pg_ctl" -D "$home/pg/data" \
        -l "$log/postgres.log" -o "-k $sock/pg" -w -t "$wait_s" start) 9>&-
}

start_pg() {
    local bin stale

    [ -z "$own_pg" ] || return 0
    pid_of "$home/pg/data/postmaster.pid" >/dev/null && return 0

    bin=$(pg_bin) || exit 1
    [ -f "$home/pg/data/PG_VERSION" ] || make_pg "$bin"

    say "stack: starting PostgreSQL"
    touch "$log/postgres.log"
    [ "$me" -ne 0 ] || chown "$pg_user:" "$log/postgres.log"
    # After a crash the server itself finds the pid file stale, unless that
    # number is in use again by something else.
    stale=$(head -1 "$home/pg/data/postmaster.pid" 2>/dev/null)
    if [ -n "$stale" ] && [ -e "/proc/$stale" ] &&
        ! grep -q postgres "/proc/$stale/comm"
    then
        rm -f "$home/pg/data/postmaster.pid"
    fi

    # more than once: the children of a killed server hold its memory for a
    # moment
    until_true 100 pg_start "$bin" ||
        die "PostgreSQL does not start, see $log/postgres.log"

    [ "$(pg_sql postgres "SELECT 1 FROM pg_roles WHERE rolname='chat'")" ] ||
        pg_sql postgres "CREATE ROLE chat LOGIN" || exit 1
    [ "$(pg_sql postgres "SELECT 1 FROM pg_database WHERE datname='chat'")" ] ||
        pg_sql postgres "CREATE DATABASE chat OWNER chat" || exit 1
}

# --------------------------------------------------------------------- Redis

start_redis() {
    [ -z "$own_redis" ] || return 0
    pid_of "$home/redis/redis.pid" >/dev/null && return 0

    say "stack: starting Redis"
    cat > "$home/redis.conf" <<REDIS
port 0
unixsocket $sock/app/redis.sock
unixsocketperm 700
dir $home/redis
pidfile $home/redis/redis.pid
logfile $home/redis/redis.log
daemonize yes
# events live here until they are committed
appendonly yes
appendfsync everysec
save ""
# streams must not be thrown away for want of memory
maxmemory-policy noeviction
REDIS
    ln -sf "$home/redis/redis.log" "$log/redis.log"
    (cd "$home/redis" && as "$svc_user" redis-server "$home/redis.conf") \
        >/dev/null 2>&1 9>&- ||
        die "Redis does not start, see $log/redis.log"
    # answers only when the append-only file has been read
    until_true $((wait_s * 10)) redis_answers ||
        die "Redis does not answer, see $log/redis.log"
}

redis_answers() {
    [ "$(redis-cli -s "$sock/app/redis.sock" PING)" = PONG ]
}

# ------------------------------------------------------------------- workers

# Programs are copied: a build does not disturb what runs, and the users of
# the stack need not enter the checkout.
install_file() {
    cmp -s "$1" "$2" && return 0
    cp "$1" "$2.new" && chmod "$3" "$2.new" && mv "$2.new" "$2" ||
        die "cannot write $2"
    changed=1
}

make_worker_conf() {
    cat > "$worker_conf.made" <<CONF
# written by conf/stack.sh; CHAT_<KEY> in the environment wins
pg $pg_dsn
redis $redis_url
keys_dir $home/keys
run_dir $home/worker
api_socket $sock/app/api.sock
listen_hint $listen
public_url http://$listen:$http_port
CONF
    install_file "$worker_conf.made" "$worker_conf" 640
    rm -f "$worker_conf.made"
    [ "$me" -ne 0 ] || chgrp "$(id -gn "$svc_user")" "$worker_conf"
}

# the same environment for everything that reads workers.conf
as_worker() {
    (cd "$home/worker" && unset CHAT_PG CHAT_REDIS &&
        as "$svc_user" "$@")
}

prepare_workers() {
    local f

    for f in chat-worker chatctl; do
        [ -x "$build/$f" ] || die "$build/$f is missing: make build"
    done
    changed=
    install_file "$build/chat-worker" "$home/bin/chat-worker" 755
    install_file "$build/chatctl" "$home/bin/chatctl" 755
    make_worker_conf
    workers_changed=$changed

    # the schema, readable for who applies it
    rm -rf "$home/sql" && cp -r "$root/sql" "$home/sql"

    if [ ! -s "$home/keys/jwks.json" ]; then
        say "stack: creating keys"
        as_worker "$home/bin/chatctl" -c "$worker_conf" keys generate \
            >/dev/null || die "chatctl keys generate failed"
    fi
    as_worker "$home/bin/chatctl" -c "$worker_conf" migrate --dir "$home/sql" \
        >>"$log/migrate.log" 2>&1 ||
        die "chatctl migrate failed: $(tail -3 "$log/migrate.log")"
}

start_workers() {
    local pid

    if pid=$(pid_of "$home/pool.pid"); then
        # new program or configuration: the pool replaces its processes
        [ -z "$workers_changed" ] || kill -HUP "$pid"
        return 0
    fi

    say "stack: starting the workers"
    sweep_workers
    touch "$log/workers.log"
    (
        exec 9>&- </dev/null >>"$log/workers.log" 2>&1
        cd "$home/worker"
        unset CHAT_PG CHAT_REDIS
        if [ "$me" -eq 0 ]; then
            exec setsid setpriv --reuid="$svc_user" \
                --regid="$(id -g "$svc_user")" --init-groups -- \
                "$home/bin/chat-worker" -c "$worker_conf" pool
        fi
        exec setsid "$home/bin/chat-worker" -c "$worker_conf" pool
    ) &
    echo $! > "$home/pool.pid"
    disown
}

# --------------------------------------------------------------------- nginx

make_cert() {
    [ ! -s "$home/tls/cert.pem" ] || return 0
    say "stack: creating a self-signed certificate"
    (
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
            -nodes -days 825 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
            -keyout "$home/tls/key.pem" -out "$home/tls/cert.new" \
            2>"$log/openssl.log"
    ) || die "openssl failed, see $log/openssl.log"
    mv "$home/tls/cert.new" "$home/tls/cert.pem"
}

prepare_nginx() {
    local module nofile connections redis

    [ -x "$nginx_bin" ] || die "no nginx found" \
        "(conf/packages.sh run installs it)"
    [ -f "$build/ngx_http_chat_module.so" ] ||
        die "$build/ngx_http_chat_module.so is missing: make build"

    # A loaded library is known by its path: under the old one a reload would
    # go on with the old code.
    module=$home/bin/ngx_http_chat_module-$(cksum \
        < "$build/ngx_http_chat_module.so" | cut -d' ' -f1).so
    install_file "$build/ngx_http_chat_module.so" "$module" 644
    # the one that is replaced must stay while nginx runs
    pid_of "$home/nginx.pid" >/dev/null ||
        find "$home/bin" -name 'ngx_http_chat_module-*.so' \
            ! -path "$module" -delete

    install_file "$home/keys/jwks.json" "$home/www/jwks.json" 644
    for f in openapi.yaml asyncapi.yaml; do
        [ ! -f "$root/docs/$f" ] ||
            install_file "$root/docs/$f" "$home/www/$f" 644
    done

    nofile=$(ulimit -Hn)
    [ "$nofile" != unlimited ] && [ "$nofile" -lt 65536 ] || nofile=65536
    connections=16384
    [ "$nofile" -gt $connections ] || connections=$((nofile * 3 / 4))

    redis=$redis_url
    sed -e "s|@USER@|$([ "$me" -eq 0 ] && echo "user $svc_user;")|" \
        -e "s|@PROCESSES@|${CHAT_NGINX_WORKERS:-auto}|" \
        -e "s|@NOFILE@|$nofile|" -e "s|@CONNECTIONS@|$connections|" \
        -e "s|@HOME@|$home|" -e "s|@SOCK@|$sock|" \
        -e "s|@MODULE@|$module|" -e "s|@REDIS@|\"$redis\"|" \
        -e "s|@LISTEN@|$listen|" -e "s|@HTTP_PORT@|$http_port|" \
        -e "s|@HTTPS_PORT@|$https_port|" \
        -e "s|@LEVEL@|${CHAT_NGINX_LOG:-notice}|" \
        "$here/nginx.conf.in" > "$nginx_conf.made"
    changed=
    install_file "$nginx_conf.made" "$nginx_conf" 640
    rm -f "$nginx_conf.made"
    nginx_changed=$changed
}

# nginx with what a sanitizer build wants preloaded
run_nginx() {
    local preload=

    [ ! -f "$build/preload" ] ||
        preload=$(tr '\n' ' ' < "$build/preload")
    (
        cd "$home" || exit 1
        if [ -n "$preload" ]; then
            export LD_PRELOAD=$preload
            # nginx leaves its configuration to the end of the process
            export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
        fi
        "$nginx_bin" -p "$home" -c "$nginx_conf" \
            -e "$log/nginx-error.log" "$@"
    ) 9>&-
}

port_taken() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

check_ports() {
    local p at

    at=$(reach)
    pid_of "$home/nginx.pid" >/dev/null && return 0
    # workers of a killed master still listen
    sweep_nginx
    for p in "$http_port" "$https_port"; do
        case $p in ''|*[!0-9]*) die "not a port: $p" ;; esac
        ! port_taken "$at" "$p" || die "port $p is taken on $listen;" \
            "choose others: CHAT_HTTP_PORT=$((http_port + 1))" \
            "CHAT_HTTPS_PORT=$((https_port + 1))"
    done
}

start_nginx() {
    local pid

    if pid=$(pid_of "$home/nginx.pid"); then
        [ -n "$nginx_changed" ] || return 0
        say "stack: reloading nginx"
        run_nginx -t -q && kill -HUP "$pid"
        return
    fi

    say "stack: starting nginx"
    rm -f "$home/nginx.pid"
    run_nginx || die "nginx does not start, see $log/nginx-error.log"
}

# the address to reach it at from here
reach() {
    [ "$listen" = 0.0.0.0 ] && echo 127.0.0.1 || echo "$listen"
}

ready() {
    [ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' \
        "http://$(reach):$http_port/readyz")" = 200 ]
}

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
    # fast: without waiting for sessions
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

# Waits for Ctrl-C, and brings back what died. Ends too when somebody else
# says `down`.
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
