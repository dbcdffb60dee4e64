"""Our module together with nchan's module, which exports its own hiredis.

nginx loads modules with RTLD_GLOBAL: a module that imports redisAsyncConnect
would get nchan's, whose structs differ. Our module must neither import nor
export such a symbol, and must work with nchan loaded before or after it.
"""

import os
import pathlib
import re
import subprocess

import pytest

from edge import Edge, NGINX, ROOT, build_dir, environment

NCHAN = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
HIREDIS = re.compile(r"_*(redis|sds|hi_|hiredis|dict(?!ionary))", re.I)

ORDERS = {"nchan first": [NCHAN, "@MODULE@"],
          "nchan last": ["@MODULE@", NCHAN]}


@pytest.fixture(scope="module")
def module():
    return build_dir() / "ngx_http_chat_module.so"


def symbols(path, *options):
    done = subprocess.run(["nm", "-D", *options, str(path)], check=True,
                          stdout=subprocess.PIPE, encoding="utf-8")
    return {line.split()[-1].split("@")[0]
            for line in done.stdout.splitlines()}


def test_nchan_exports_hiredis():
    assert "redisAsyncConnect" in symbols(NCHAN, "--defined-only")


def test_our_module_imports_no_hiredis_symbol(module):
    imported = symbols(module, "--undefined-only")
    assert not [s for s in imported if HIREDIS.match(s)]
    done = subprocess.run(["readelf", "-d", str(module)], check=True,
                          stdout=subprocess.PIPE, encoding="utf-8")
    assert "hiredis" not in done.stdout


def test_our_module_exports_only_nginx_symbols(module):
    """Otherwise a later module could bind to our hiredis or our helpers."""
    exported = symbols(module, "--defined-only")
    assert not [s for s in exported if HIREDIS.match(s)]
    common = [s for s in exported if s.startswith(("chat_", "ws_"))]
    assert not common, common
    foreign = [s for s in exported if not s.startswith("ngx_")
               and not s.startswith(("__asan", "__odr_asan", "__ubsan"))]
    assert not foreign, foreign


def test_our_module_contains_its_version(module):
    """strings(1) finds the version in a file that is not loaded."""
    version = (ROOT / "VERSION").read_bytes().strip()
    assert b"chat/" + version + b"\0" in module.read_bytes()


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_the_loader_binds_no_symbol_of_ours_to_nchan(module, order):
    edge = Edge(modules=order)
    try:
        output = edge.home / "ld"
        done = subprocess.run(
            [NGINX, "-t", "-p", str(edge.home), "-c", str(edge.conf), "-e",
             "stderr"], stderr=subprocess.PIPE, encoding="utf-8",
            env={**environment(edge.build), "LD_DEBUG": "bindings",
                 "LD_DEBUG_OUTPUT": str(output), "LD_BIND_NOW": "1"})
        assert done.returncode == 0, done.stderr
        text = "".join(p.read_text() for p in edge.home.glob("ld.*"))
    finally:
        edge.close()

    bindings = re.findall(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: "
                          r"\w+ symbol `([^']+)'", text)
    assert bindings, "the loader printed no bindings"
    # control: the output contains nchan's own bindings
    assert any(source == str(NCHAN) and name == "redisAsyncConnect"
               for source, to, name in bindings)
    mixed = [(source, to, name) for source, to, name in bindings
             if {source, to} == {str(NCHAN), str(module)}]
    assert not mixed, mixed
    mixed = [(to, name) for source, to, name in bindings
             if source == str(module) and to != str(module)
             and HIREDIS.match(name)]
    assert not mixed, mixed


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_both_modules_work_in_one_nginx(order):
    with Edge(modules=order,
              server="location /pub { nchan_publisher; "
                     "nchan_channel_id test; }") as edge:
        # ready means: our hiredis has connected, subscribed and read a reply
        assert edge.http("GET", "/readyz").status == 200
        with edge.connect(user=3, device=4) as ws:
            assert ws.message()["type"] == "welcome"
            assert ws.alive()
            assert edge.redis.hget("route:{3}", "4") is not None
        assert edge.http("POST", "/pub", body=b"x").status in (200, 201, 202)


def test_a_running_worker_loads_no_libhiredis(module):
    """hiredis is linked into our module; no libhiredis.so is loaded."""
    with Edge(modules=[NCHAN, "@MODULE@"]) as edge:
        for pid in (p for p in os.listdir("/proc") if p.isdigit()):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    parent = f.read().rsplit(")", 1)[1].split()[1]
                if parent != str(edge.nginx.pid):
                    continue
                with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
                    maps = f.read()
            except OSError:
                continue
            assert str(module) in maps and str(NCHAN) in maps
            assert "libhiredis" not in maps
            return
    pytest.fail("no worker process found")
