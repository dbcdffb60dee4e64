#!/bin/bash
#
# packages.sh: installs the Debian packages that the project needs.
#
#     packages.sh run|test|bench|faults|lint|man ...
#
# Prints the missing packages of the named sets and installs them: directly as
# root, else through sudo. Prints nothing when none is missing. Starts no system
# service and creates no PostgreSQL cluster: the stack has its own.
#
# Called from the Makefile and, on a bare machine, by hand.

set -euo pipefail

RUN="gcc make pkg-config nginx nginx-dev libnginx-mod-nchan redis-server
     redis-tools postgresql-15 libhiredis-dev libpq-dev libjansson-dev
     libsodium-dev libmicrohttpd-dev libcurl4-openssl-dev uthash-dev
     libpcre2-dev zlib1g-dev libssl-dev openssl curl python3
     python3-websockets"
TEST="clang libclang-rt-14-dev libcmocka-dev python3-pytest
      python3-websockets python3-redis python3-psycopg2 python3-requests
      python3-jwt python3-cryptography python3-nacl python3-yaml python3-jsonschema
      python3-venv strace"
BENCH="ejabberd erlang-p1-pgsql mosquitto gnuplot-nox linux-perf valgrind
       python3-redis python3-psycopg2 python3-requests"
FAULTS="$TEST iptables"
LINT="clang codespell"
MAN="help2man man-db mandoc"

usage() {
    sed -n 's/^#     \(packages.sh.*\)/usage: conf\/\1/p' "$0" >&2
    exit 2
}

# Prints the arguments that are not installed packages.
missing() {
    local p
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null |
            grep -qx installed || echo "$p"
    done
}

# Runs as root: no services, no default PostgreSQL cluster, then apt-get.
install_as_root() {
    local policy=/usr/sbin/policy-rc.d
    local cluster=/etc/postgresql-common/createcluster.d/chat-stack.conf
    made=()

    undo() { rm -f "${made[@]}"; }
    trap undo EXIT
    trap 'exit 130' INT TERM

    # 101: "action forbidden by policy" (invoke-rc.d)
    if [ ! -e "$policy" ]; then
        made+=("$policy")
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
    fi
    mkdir -p "${cluster%/*}"
    made+=("$cluster")
    echo "create_main_cluster = false" > "$cluster"

    export DEBIAN_FRONTEND=noninteractive
    # package lists may be absent (a container image) or outdated
    if ! ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; then
        apt-get -q update
    fi
    apt-get -q -y --no-install-recommends install "$@" || {
        echo "packages: retrying with updated package lists" >&2
        apt-get -q update
        apt-get -q -y --no-install-recommends install "$@"
    }
}

if [ "${1:-}" = --as-root ]; then
    shift
    install_as_root "$@"
    exit
fi

[ $# -gt 0 ] || usage
want=""
for set in "$@"; do
    case $set in
        run)    want="$want $RUN" ;;
        test)   want="$want $RUN $TEST $MAN" ;;
        bench)  want="$want $RUN $BENCH" ;;
        faults) want="$want $RUN $FAULTS" ;;
        lint)   want="$want $RUN $LINT" ;;
        man)    want="$want $MAN" ;;
        *)      usage ;;
    esac
    # any installed node serves as well as Debian's
    if [[ $set == test || $set == bench ]] && ! command -v npm >/dev/null; then
        want="$want nodejs npm"
    fi
done
want=$(printf '%s\n' $want | sort -u)

if ! command -v dpkg-query >/dev/null; then
    echo "packages: this is not Debian. Install what corresponds to:" >&2
    echo $want >&2
    exit 1
fi

need=$(missing $want)
[ -n "$need" ] || exit 0

echo "packages: installing" $need
if [ "$(id -u)" -eq 0 ]; then
    exec bash "$0" --as-root $need
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }
then
    exec sudo bash "$0" --as-root $need
fi

echo "packages: these are missing, and installing them needs root:" >&2
echo "    apt-get install --no-install-recommends" $need >&2
exit 1
