"""Connections to a syslog daemon. Each remembers the messages that may not have arrived, so that they can be sent again over the next one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import ssl
import struct
import termios
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic

from iplog_syslog.address import Address

CONNECTING = 5.0
"""Seconds that a server may take to accept a connection."""

ANSWERING = 10.0
"""Seconds that a server may take to shake hands, or to acknowledge anything of what is on its way to it."""

DOUBT = 1.0
"""Seconds within which a datagram is refused, or a daemon reads what its kernel has acknowledged."""

_REFUSAL = 0.3
"""Seconds to wait for a refusal where nothing else is to be done."""

_BLOCKED = 0.2
"""Seconds that one call of the system may wait until there is room for more."""

_BREATH = 0.001
"""Seconds between two runs of datagrams."""

_SIOCOUTQNSD = 0x894B
"""Asks for the bytes that were not sent yet (linux/sockios.h)."""

Pause = Callable[[float], bool]
"""Waits some seconds; False says that there is no more time."""


def connect(address: Address, tls: ssl.SSLContext | None, pause: Pause) -> Connection:
    """Connect to a daemon. Raise OSError where that cannot be."""
    if address.transport == "local":
        return Local(address.host, pause)
    if address.transport == "udp":
        return Udp(address, pause)
    return Stream(address, tls, pause)


class Connection(ABC):
    """A connection that is open. What goes wrong is an OSError, and then it is of no more use."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._unsure = _Unsure()

    @property
    def unsure(self) -> list[bytes]:
        """The messages that may not have arrived, oldest first."""
        return self._unsure.messages

    @abstractmethod
    def check(self) -> None:
        """Notice that the peer is gone, as far as that can be known without sending anything."""

    @abstractmethod
    def send(self, messages: Iterable[bytes]) -> None:
        """Send messages. Those that it took and that may not have arrived are unsure."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until what was sent has arrived, as far as that can be known."""

    def close(self) -> None:
        self._socket.close()

    def _underway(self) -> int:
        """Bytes, with all that is put around them, that the peer's kernel has not acknowledged; on a local socket: that nobody has read (SIOCOUTQ)."""
        return self._count(termios.TIOCOUTQ)

    def _count(self, request: int) -> int:
        (count,) = struct.unpack("i", fcntl.ioctl(self._socket, request, bytes(4)))
        return int(count)


class Local(Connection):
    """Datagrams to a socket of this host. One has arrived when the daemon has read it. The daemon's queue is short, so sending may wait for it."""

    def __init__(self, path: str, pause: Pause) -> None:
        super().__init__(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._path = path
        self._pause = pause
        self._socket.settimeout(_BLOCKED)
        try:
            self._listener = self._who_listens()
            self._socket.connect(path)
        except OSError:
            self.close()
            raise

    def check(self) -> None:
        """Nothing can be known before the next datagram: it is refused."""

    def send(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self._unsure.add(message)
            self._put(message)
        self._forget(self._underway())

    def settle(self) -> None:
        """Wait for the daemon to read; one that takes longer has the messages in its queue, and is not disturbed."""
        until = monotonic() + DOUBT
        while (underway := self._underway()) and monotonic() < until and self._pause(0.001):
            pass
        self._forget(underway)

    def _forget(self, underway: int) -> None:
        """Forget what the daemon has read. One that has ended leaves nothing under way, either, also where another has taken its place by now."""
        self._socket.connect(self._path)
        if self._who_listens() != self._listener:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._unsure.forget(underway)

    def _who_listens(self) -> tuple[int, int, int]:
        """Tell one daemon's socket from the next one's at the same path."""
        found = os.stat(self._path)
        return found.st_dev, found.st_ino, found.st_mtime_ns

    def _put(self, message: bytes) -> None:
        while True:
            try:
                self._socket.send(message)
                return
            except TimeoutError:
                if not self._pause(0):
                    raise


class Udp(Connection):
    """Datagrams to a server (RFC 5426). Nobody acknowledges them, but a host without a server refuses them, a moment later."""

    def __init__(self, address: Address, pause: Pause) -> None:
        super().__init__(_udp_socket(address))
        self._pause = pause
        self._errors = _poll(self._socket, 0)

    def check(self) -> None:
        if number := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))

    def send(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            self._unsure.add(message)
            self._socket.send(message)
        self._unsure.forget(0, older_than=monotonic() - DOUBT)
        # Lines that waited long must not run over the server's buffer all at once.
        self._pause(_BREATH)

    def settle(self) -> None:
        self._errors.poll(_REFUSAL * 1000)
        self.check()
        self._unsure.forget(0)


class Stream(Connection):
    """A TCP connection, with TLS or without; each message is preceded by its length (RFC 6587, section 3.4.1; RFC 5425, section 4.3).

    That the peer's kernel has a message does not say that the daemon has read it. A daemon that ends with something unread resets the connection:
    then what was sent in the last moment is unsure, acknowledged or not. One that does not read for a while is waited for, as long as its kernel says so.
    """

    def __init__(self, address: Address, tls: ssl.SSLContext | None, pause: Pause) -> None:
        super().__init__(socket.create_connection((address.host, address.port), CONNECTING))
        self._pause = pause
        self._seen = (0, 0.0)
        try:
            self._socket.settimeout(ANSWERING)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                try:
                    self._socket = tls.wrap_socket(self._socket, server_hostname=address.host, suppress_ragged_eofs=False)
                except TimeoutError:
                    raise TimeoutError("it does not answer the TLS handshake") from None
            # What stands before a server may accept and close; with TLS 1.3 a server looks at our certificate when the handshake is over for us.
            _poll(self._socket, select.POLLIN).poll(_REFUSAL * 1000)
            self.check()
        except OSError:
            self._socket.close()
            raise

    def check(self) -> None:
        """Look at what came. A syslog server says nothing: it is a message of TLS itself, or the end."""
        self._socket.settimeout(0)
        try:
            while self._socket.recv(4096):
                pass
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        finally:
            self._socket.settimeout(_BLOCKED)
        if not isinstance(self._socket, ssl.SSLSocket):
            # A close that is no reset: the daemon has read all that its kernel acknowledged.
            self._unsure.forget(self._underway())
        raise ConnectionError("it closed the connection")

    def send(self, messages: Iterable[bytes]) -> None:
        taken = list(messages)
        for message in taken:
            self._unsure.add(message)
        rest = memoryview(b"".join(b"%d %b" % (len(message), message) for message in taken))
        self._seen = (0, 0.0)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except TimeoutError:
                self._wait(0)
        self._unsure.forget(self._underway(), older_than=monotonic() - DOUBT)

    def settle(self) -> None:
        wait = 0.001
        self._seen = (0, 0.0)
        while self._underway():
            self._wait(wait)
            wait = min(2 * wait, 0.05)
        self._unsure.forget(0, older_than=monotonic() - DOUBT)

    def close(self) -> None:
        # What is left unread would turn the end of the connection into a reset.
        with contextlib.suppress(OSError):
            self.check()
        if isinstance(self._socket, ssl.SSLSocket):
            self._socket.settimeout(0)
            with contextlib.suppress(OSError, ValueError):
                self._socket.unwrap()
        self._socket.close()

    def _wait(self, seconds: float) -> None:
        """Wait for the peer. Raise OSError where it is gone, where it has acknowledged nothing for too long, or where there is no time left."""
        if not self._pause(seconds):
            raise TimeoutError("it has not answered yet")
        self.check()
        underway = self._underway()
        counted, since = self._seen
        if underway != counted or underway == self._count(_SIOCOUTQNSD):
            # Something was acknowledged, or nothing is on its way, since the peer's kernel has no room: it is there.
            self._seen = (underway, monotonic())
        elif monotonic() - since > ANSWERING:
            raise TimeoutError("it does not answer")


class _Unsure:
    """Messages that were sent, with the time when."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    @property
    def messages(self) -> list[bytes]:
        return [message for _, message in self._sent]

    def add(self, message: bytes) -> None:
        self._sent.append((monotonic(), message))
        self._bytes += len(message)

    def forget(self, underway: int, *, older_than: float = float("inf")) -> None:
        """Forget the messages that were sent before a time and are not among the last `underway` bytes."""
        while self._sent and self._sent[0][0] < older_than and self._bytes - len(self._sent[0][1]) >= underway:
            self._bytes -= len(self._sent.popleft()[1])


def _poll(sock: socket.socket, events: int) -> select.poll:
    """Return what waits for events on a socket, and for its errors in any case."""
    poll = select.poll()
    poll.register(sock, events)
    return poll


def _udp_socket(address: Address) -> socket.socket:
    """Return a socket to the first address of a server that there is a way to."""
    fault = OSError(f"{address.host} has no address")
    for family, kind, protocol, _, where in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.connect(where)
            return sock
        except OSError as error:
            sock.close()
            fault = error
    raise fault
