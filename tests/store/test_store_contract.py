"""The contract of chat stores, store_contract.c, on a private PostgreSQL.

CHAT_STORE names the implementation under test; its values are those of
`chat_store` in workers.conf.
"""

import os
import subprocess

import pytest
from stores import BUILD, Stores, clean_env


@pytest.fixture(scope="module")
def stores():
    s = Stores()
    try:
        yield s.start()
    finally:
        s.stop()


def test_configured_store_fulfils_the_contract(stores):
    stores.sql("INSERT INTO users (phone_number)"
               " SELECT '+1555000' || n FROM generate_series(1, 9) n")
    done = subprocess.run(
        [str(BUILD / "tests/store/store_contract")], text=True, timeout=120,
        env=clean_env(CHAT_PG=stores.dsn, CHAT_CHAT_STORE=os.environ.get(
            "CHAT_STORE", "postgresql")),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
