"""suite.py: helpers of the tests that are not in the table of faults.

`make test` runs these tests with small sizes; `make faults` runs them at full
size (CHAT_FAULTS=full) and prints their measurements.
"""

import collections
import os
import pathlib

FULL = os.environ.get("CHAT_FAULTS") == "full"


def size(full, short):
    return full if FULL else short


def say(text):
    """Prints a measurement for the reader of `make faults`."""
    print("\n    " + text, end="", flush=True)


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))]


def per_second(times, since, until):
    """Counts the `times` in each second."""
    n = collections.Counter(int(t - since) for t in times
                            if since <= t < until)
    return [n[i] for i in range(int(until - since) + 1)]


def cpu_seconds(pid):
    """User and system time of a process; 0 when it has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")
