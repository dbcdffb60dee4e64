"""Installs the third-party checkers into this directory.

The versions are pinned: Node packages in package-lock.json, Python packages,
which are installed into .venv, in requirements.txt. A stamp file holds a hash
of the pins, so that nothing is installed again until a pin changes.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENV = HERE / ".venv"
NODE = HERE / "node_modules"

# kosoku and schemathesis need Python 3.10 or newer; Debian's is 3.11
PYTHON = "/usr/bin/python3" if sys.version_info < (3, 10) else sys.executable


def _stamp(*files):
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def _once(directory, files, make):
    """Runs make() unless directory was made from the same files. A lock
    allows one process at a time, because tests may run in parallel."""
    stamp = directory / ".stamp"
    with open(HERE / "package.json", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        current = _stamp(*files)
        if stamp.exists() and stamp.read_text() == current:
            return
        shutil.rmtree(directory, ignore_errors=True)
        make()
        stamp.write_text(current)


def _run(*argv):
    done = subprocess.run([str(a) for a in argv], cwd=HERE,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8")
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stdout}"


def install_node():
    """Installs the Node checkers; returns the directory of node_modules."""
    _once(NODE, [HERE / "package-lock.json"],
          lambda: _run("npm", "ci", "--no-audit", "--no-fund"))
    return HERE


def node_bin(name):
    install_node()
    return str(NODE / ".bin" / name)


def python_bin(name):
    requirements = HERE / "requirements.txt"

    def make():
        _run(PYTHON, "-m", "venv", VENV)
        _run(VENV / "bin" / "pip", "install", "-q", "--no-deps",
             "--disable-pip-version-check", "-r", requirements)

    _once(VENV, [requirements], make)
    return str(VENV / "bin" / name)


# the tools must not check for updates or send telemetry
os.environ.setdefault("NO_UPDATE_NOTIFIER", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
