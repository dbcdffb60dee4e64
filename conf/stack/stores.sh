# stores.sh: the private PostgreSQL and the private Redis.
#
# Read by conf/stack.sh. CHAT_PG or CHAT_REDIS replaces the private one.

# ---------------------------------------------------------------- PostgreSQL

pg_bin() {
    local d
    d=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
    # data of an earlier version need a server of that version
    if [ -f "$home/pg/data/PG_VERSION" ]; then
        d=/usr/lib/postgresql/$(cat "$home/pg/data/PG_VERSION")/bin
    fi
    [ -x "$d/postgres" ] || d=$(dirname "$(command -v postgres)")
    [ -x "$d/postgres" ] || die "no PostgreSQL server found" \
        "(conf/packages.sh run installs it)"
    echo "$d"
}

pg_sql() {
    # run in a directory that the user may enter, or psql warns
    (cd / && as "$pg_user" psql -X -q -At -v ON_ERROR_STOP=1 -h "$sock/pg" \
        -U postgres -d "$1" -c "$2")
}

make_pg() {
    local bin=$1 tmp=$home/pg/new

    say "stack: creating the database"
    rm -rf "$tmp"
    as "$pg_user" "$bin/initdb" -D "$tmp" -U postgres -A trust -E UTF8 \
        --locale=C.UTF-8 >>"$log/postgres-init.log" 2>&1 ||
        die "initdb failed, see $log/postgres-init.log"

    # terse: errors must not log rows, which contain phone numbers
    as "$pg_user" tee -a "$tmp/postgresql.conf" >/dev/null <<PG
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 200
shared_buffers = 128MB
log_error_verbosity = terse
log_line_prefix = '%m [%p] %a '
PG
    # the permissions of the socket's directory control access
    echo "local all all trust" |
        as "$pg_user" tee "$tmp/pg_hba.conf" >/dev/null
    # atomic: an incomplete cluster is created again
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

    # retry: the children of a killed server hold its shared memory for a
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
# Processed events are deleted, so the file grows while the data does not. With
# the default of 64 MB it is rewritten every 15 s under load, and each rewrite
# costs 0.1 s. A start reads a file of 256 MB in three seconds.
auto-aof-rewrite-min-size 256mb
# writes do not wait for fsync during a rewrite: PostgreSQL has the truth
no-appendfsync-on-rewrite yes
save ""
# streams must never be evicted
maxmemory-policy noeviction
REDIS
    ln -sf "$home/redis/redis.log" "$log/redis.log"
    (cd "$home/redis" && as "$svc_user" redis-server "$home/redis.conf") \
        >/dev/null 2>&1 9>&- ||
        die "Redis does not start, see $log/redis.log"
    # answers only after loading the append-only file
    until_true $((wait_s * 10)) redis_answers ||
        die "Redis does not answer, see $log/redis.log"
}

redis_answers() {
    [ "$(redis-cli -s "$sock/app/redis.sock" PING)" = PONG ]
}
