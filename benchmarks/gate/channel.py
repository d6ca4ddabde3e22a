"""What the gate and the processes that it starts say to each other: a line of JSON at a time."""

import json
import socket
from typing import Any

Message = dict[str, Any]  # of JSON's types


class Channel:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8")

    def send(self, message: Message) -> None:
        """Send one message; raises OSError where the other end is closed."""
        # pytest-benchmark describes its options by objects that JSON does not know.
        self._connection.sendall(json.dumps(message, default=str).encode() + b"\n")

    def receive(self) -> Message:
        """The next message; raises EOFError where the other end is closed."""
        line = self._lines.readline()
        if not line:
            raise EOFError
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        self._lines.close()
        self._connection.close()
