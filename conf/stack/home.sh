# home.sh: the users that run each process, and the directories.
#
# Read by conf/stack.sh. Sets home, sock, log and the names below them;
# creates the directories with permissions that exclude other users.

# ------------------------------------------------------------------ identity
# As root: nginx starts as root and drops its privileges itself; PostgreSQL
# refuses to run as root, and no other process needs to, so all of them run as
# an unprivileged user. Any other user runs everything as itself.

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

    # a directory created elsewhere by an earlier start, see below
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

    # such characters split names in make, nginx.conf and DSNs
    case $home in
        *[!A-Za-z0-9/._+,@:=-]*)
            die "CHAT_HOME has a character that nginx.conf cannot hold: $home"
            ;;
    esac

    # the path of a unix socket has at most 107 bytes
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

    # the directory's permissions protect the sockets in it
    for d in "$sock/app" "$home/redis" "$home/keys" "$home/worker"; do
        mkdir -p "$d" && chmod 700 "$d" || die "cannot create $d"
        [ "$me" -ne 0 ] || chown "$svc_user:" "$d"
    done
    mkdir -p "$sock/pg" "$home/pg" && chmod 700 "$home/pg"
    chmod 750 "$sock/pg"
    [ "$me" -ne 0 ] ||
        chown "$pg_user:$(id -gn "$svc_user")" "$home/pg" "$sock/pg"
}
