# nginx.sh: certificate, configuration, and nginx itself.
#
# Read by conf/stack.sh; fills in conf/nginx.conf.in.

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

    # The loader identifies a library by its path: with an unchanged path, a
    # reload would keep the old code.
    module=$home/bin/ngx_http_chat_module-$(cksum \
        < "$build/ngx_http_chat_module.so" | cut -d' ' -f1).so
    install_file "$build/ngx_http_chat_module.so" "$module" 644
    # keep the replaced file while nginx runs
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

# nginx with the libraries that a sanitizer build preloads
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
    # workers of a killed master still listen on the ports
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

# the address for local requests
reach() {
    [ "$listen" = 0.0.0.0 ] && echo 127.0.0.1 || echo "$listen"
}

http_status() {
    curl -s -o /dev/null -m 2 -w '%{http_code}' "http://$(reach):$http_port$1"
}

# /readyz covers Redis and the message workers. The API worker is running when
# it answers an unknown route with its own 404.
ready() {
    [ "$(http_status /readyz)" = 200 ] &&
        [ "$(http_status /api/v1/auth/)" = 404 ]
}
