"""An authoritative DNS server on loopback, by UDP and TCP: `records[(name, kind)]` are texts."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = dict[tuple[str, str], list[str]]
_UDP_BYTES = 512


class DnsServer:
    """A context manager; a name that has no records at all is NXDOMAIN."""

    def __init__(self, records: Mapping[tuple[str, str], Sequence[str]]) -> None:
        self.records: Records = {key: list(value) for key, value in records.items()}
        self.asked: list[str] = []
        self.silent = False

    @property
    def address(self) -> str:
        """For --resolver."""
        return f"127.0.0.1:{self.port}"

    def answer(self, data: bytes) -> dns.message.Message:
        """The response to a query."""
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        question = query.question[0]
        name = question.name.to_text().rstrip(".").lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {kind}")
        found = self.records.get((name, kind), [])
        if found:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        elif not any(each == name for each, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def __enter__(self) -> DnsServer:
        server = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                if server.silent:
                    return
                response = server.answer(data)
                wire = response.to_wire()
                if len(wire) > _UDP_BYTES:
                    cut = dns.message.make_response(dns.message.from_wire(data))
                    cut.flags |= dns.flags.TC
                    wire = cut.to_wire()
                sock.sendto(wire, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                (length,) = struct.unpack(">H", self.rfile.read(2))
                wire = server.answer(self.rfile.read(length)).to_wire()
                self.wfile.write(struct.pack(">H", len(wire)) + wire)

        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stream)
        self.port = self._tcp.server_address[1]
        self._udp = socketserver.ThreadingUDPServer(("127.0.0.1", self.port), Datagram)
        self._servers: list[Any] = [self._tcp, self._udp]
        for each in self._servers:
            threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self._servers:
            each.shutdown()
            each.server_close()


def txt(*strings: str) -> str:
    """A TXT record's text, each string of at most 255 characters."""
    parts = [each[at : at + 255] for each in strings for at in range(0, len(each), 255)]
    return " ".join('"' + part.replace('"', '\\"') + '"' for part in parts)
