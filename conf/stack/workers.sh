# workers.sh: keys, schema, and the pool of workers.
#
# Read by conf/stack.sh; hands to chatctl and chat-worker.

# Programs are copied: a build does not affect running processes, and the
# users of the stack need no access to the checkout.
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

# the same environment for all programs that read workers.conf
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

    # the schema, readable for the user that applies it
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
