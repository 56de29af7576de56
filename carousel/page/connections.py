"""The server of the live page, which closes connections that are stuck.

uvicorn closes an idle connection after a few seconds, but waits without limit for the rest of a request, and for a
client that does not read its answer. Such a connection uses a socket and memory, so it is closed after a while.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.applications import Starlette

PATIENCE = 20.0  # seconds between two checks of a connection; it is closed if two checks find it stuck
CONNECTIONS = 100  # at a time; the tabs of one person need far fewer


def server_of(app: Starlette, patience: float = PATIENCE) -> uvicorn.Server:
    """A server of the application. It closes connections that are stuck for `patience` to 2 * `patience` seconds."""
    protocol = type("Protocol", (_Impatient,), {"patience": patience})
    return uvicorn.Server(
        uvicorn.Config(app, http=protocol, log_level="warning", limit_concurrency=CONNECTIONS, lifespan="off")
    )


class _Impatient(H11Protocol):
    patience = PATIENCE
    look: asyncio.TimerHandle | None = None
    seen: tuple[Any, ...] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.look is not None:
            self.look.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        found = self._stuck()
        if found and found == self.seen:
            self.transport.abort()
            return
        self.seen = found
        self.look = self.loop.call_later(self.patience, self._look)

    def _stuck(self) -> tuple[Any, ...]:
        """What the server waits for: the rest of a request, or that the client reads the answer. Empty: for nothing."""
        if waiting := self.transport.get_write_buffer_size():
            return "answer", waiting, self.cycle
        # Between two requests uvicorn's own timer runs.
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and self.timeout_keep_alive_task is None:
            return "request", self.conn.their_state, self.cycle
        return ()
