# process.sh: identifies and stops the stack's processes.
#
# Read by conf/stack.sh. A process is identified by its pid file and its working
# directory, never by its name.

# Prints the pid of a pid file if that process is alive and belongs to this
# stack: pids are reused, and a file may be left from before a crash.
pid_of() {
    local pid state traces

    pid=$(head -1 "$1" 2>/dev/null) || return 1
    case $pid in ''|*[!0-9]*) return 1 ;; esac

    state=$(sed 's/.*) \(.\).*/\1/' "/proc/$pid/stat" 2>/dev/null) || return 1
    case $state in Z|X|'') return 1 ;; esac

    traces=$({ tr '\0' ' ' < "/proc/$pid/cmdline"
        readlink "/proc/$pid/exe" "/proc/$pid/cwd"; } 2>/dev/null | tr '\n' ' ')
    case "$traces " in
        *"$home"[/\ ]*|*"$sock"[/\ ]*) echo "$pid" ;;
        *) return 1 ;;
    esac
}

# until TRIES COMMAND...: runs COMMAND every 0.1 s until it succeeds
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

# stop NAME PIDFILE SIGNAL SECONDS: sends the signal, then SIGKILL. A stale
# pid file stays: PostgreSQL finds its old shared memory by it.
stop() {
    local pid

    pid=$(pid_of "$2") || return 0
    say "stack: stopping $1"
    kill "-$3" "$pid" 2>/dev/null
    # a process stopped by SIGSTOP reacts to nothing else
    kill -CONT "$pid" 2>/dev/null
    until_true $(($4 * 10)) gone "$pid" || {
        say "stack: $1 does not end, killing it"
        kill -KILL "$pid" 2>/dev/null
        until_true 50 gone "$pid"
    }
}

# sweep DIRECTORY PROGRAM: ends the processes that a killed parent left
# behind. They are identified by working directory and program, because no pid
# file has their pids.
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
