"""A fixed address before a server: shut at first, and to be opened and shut at will."""

import contextlib
import socket
import threading

from tests.support.ports import reserved_port


class Door:
    """Refuses connections while it is shut; shutting it cuts those that are there."""

    def __init__(self) -> None:
        self._holder, self._port = reserved_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._ends: list[socket.socket] = []

    def open(self, uri: str) -> None:
        """Lead to the server at ``uri`` from now on."""
        listener = socket.create_server(("127.0.0.1", self._port))
        self._ends = [listener]
        address = ("127.0.0.1", int(uri.rsplit(":", 1)[1]))
        threading.Thread(target=self._accept, args=(listener, address), daemon=True).start()

    def shut(self) -> None:
        """Take no more connections, and end those there are."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Shut it and give up the address."""
        self.shut()
        self._holder.close()

    def _accept(self, listener: socket.socket, address: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(address)
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
