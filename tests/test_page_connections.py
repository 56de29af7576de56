"""The live page's server and clients that leave, or that never finish."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("uvicorn", reason="needs the extra `page`")
pytest.importorskip("starlette", reason="needs the extra `page`")

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from carousel.page import live
from carousel.page.connections import server_of

HEAD = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
STUCK = {
    "nothing is asked": b"",
    "half a header": HEAD,
    "half a body": HEAD + b"\r\n" + b"x" * 10,
    "half a second request": b"GET /fine HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD,
}


async def read(request):
    return await live._answer(request, lambda question: question)


def fine(_request):
    return PlainTextResponse("fine")


def large(_request):
    return PlainTextResponse("x" * 50_000_000)


APP = Starlette(
    routes=[Route("/read", read, methods=["POST"]), Route("/fine", fine), Route("/large", large)],
)


@contextmanager
def serving(patience: float):
    server = server_of(APP, patience)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname(), server
        finally:
            server.should_exit = True
            thread.join()


def answer(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def ask(address) -> bytes:
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"GET /fine HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return answer(connection)


@pytest.mark.parametrize("what", STUCK)
def test_a_client_that_never_finishes_is_let_go(what):
    with serving(0.2) as (address, _), socket.create_connection(address, timeout=60) as connection:
        connection.sendall(STUCK[what])
        found = answer(connection)  # comes back only because the server closes
        assert (b"fine" in found) == ("second" in what)
        assert ask(address).endswith(b"fine")


def test_a_client_that_takes_no_answer_is_let_go():
    with serving(0.2) as (address, server), socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(1)
        deadline = time.monotonic() + 60
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.server_state.connections


def test_a_slow_client_that_goes_on_is_answered():
    with serving(0.5) as (address, _), socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        size = 0
        while part := connection.recv(4_000_000):
            size += len(part)
            time.sleep(0.03)
        assert size > 50_000_000


def test_a_closed_tab_is_no_error(capsys):
    with serving(20.0) as (address, server):
        for text in (HEAD, HEAD + b"\r\n{", b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.create_connection(address, timeout=60) as connection:
                connection.sendall(text)
                time.sleep(0.1)
        deadline = time.monotonic() + 60
        while server.server_state.tasks and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ask(address).endswith(b"fine")
    said = capsys.readouterr()
    assert said.out + said.err == ""
