"""Messages between the gate and the processes that it starts, each one line of JSON."""

import json
import socket
from typing import Any

Message = dict[str, Any]  # any JSON


class Channel:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8")

    def send(self, message: Message) -> None:
        """Send one message; raises EOFError if the other end is closed."""
        # pytest-benchmark describes its options with objects that JSON cannot hold.
        line = json.dumps(message, default=str).encode() + b"\n"
        try:
            self._connection.sendall(line)
        except ConnectionError as error:
            raise EOFError from error

    def receive(self) -> Message:
        """The next message; raises EOFError if the other end is closed, or TimeoutError."""
        try:
            line = self._lines.readline()
        except ConnectionError as error:
            raise EOFError from error
        if not line:
            raise EOFError
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        self._lines.close()
        self._connection.close()
