"""Tests of how the owner of a loopback connection is found."""

import os
import sys

import pytest

from aritma_auth.native_app import connection_owner
from aritma_auth.native_app.connection_owner import is_of_another_user

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or sys.byteorder != "little", reason="the tables are Linux's"
)

HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n"
)
ROW = "   0: {} {} 01 00000000:00000000 00:00000000 00000000 {:5} 0 71 1 0 20 4 30 10 -1\n"
MAPPED = "0000000000000000FFFF0000"
CLIENT, SERVER = "0100007F:A1B2", "0100007F:1F90"
MINE = 1000


@pytest.fixture(autouse=True)
def tables(monkeypatch, tmp_path):
    """Give the two tables as files of the test's, for a program of the user 1000."""
    tables = tmp_path / "tcp", tmp_path / "tcp6"
    for table in tables:
        table.write_text(HEAD)
    monkeypatch.setattr(connection_owner, "_TABLES", tables)
    monkeypatch.setattr(os, "geteuid", lambda: MINE)
    return tables


def is_foreign(host="127.0.0.1"):
    return is_of_another_user((host, 0xA1B2), (host, 8080))


@pytest.mark.parametrize(("owner", "expected"), [(MINE, False), (0, False), (1001, True)])
@pytest.mark.parametrize("mapped", [False, True], ids=["IPv4", "IPv4 in IPv6"])
def test_the_owner_of_the_clients_socket_counts(tables, owner, expected, mapped):
    """The row of the client's end decides, in the table of its address family."""
    client, server = (MAPPED * mapped + address for address in (CLIENT, SERVER))
    other_end = ROW.format(server, client, MINE)
    table = tables[mapped]
    table.write_text(HEAD + other_end + ROW.format(client, server, owner) + other_end)

    assert is_foreign() is expected


def test_an_ipv6_address_is_found(tables):
    """The loopback address of IPv6 is four words of the machine's byte order."""
    end = "0" * 24 + "01000000"
    tables[1].write_text(HEAD + ROW.format(f"{end}:A1B2", f"{end}:1F90", 1001))

    assert is_foreign("::1")


@pytest.mark.parametrize(
    ("client", "server"),
    [
        ("0100007F:A1B3", SERVER),
        ("0100007F:1F90", SERVER),
        ("0200007F:A1B2", SERVER),
        (CLIENT, "0100007F:1F91"),
        (CLIENT, "0200007F:1F90"),
        (SERVER, CLIENT),
    ],
)
def test_another_connection_does_not_count(tables, client, server):
    """A row of which one end is another's says nothing of this connection."""
    tables[0].write_text(HEAD + ROW.format(client, server, 1001))

    assert not is_foreign()


def test_a_system_without_the_tables_tells_no_owner(monkeypatch, tables):
    """Without the tables, or off Linux, no connection counts as another user's."""
    tables[0].write_text(HEAD + ROW.format(CLIENT, SERVER, 1001))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert not is_foreign()
    for table in tables:
        table.unlink()

    assert not is_foreign()
