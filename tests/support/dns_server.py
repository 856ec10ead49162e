"""A DNS server on loopback, by UDP and TCP: `records[(name, kind)]` are texts.

It answers as a recursive server does for its clients: aliases are followed, as far as records go.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = dict[tuple[str, str], list[str]]
_UDP_BYTES = 512


class DnsServer:
    """A context manager; a name that has no records at all is NXDOMAIN."""

    def __init__(self, records: Mapping[tuple[str, str], Sequence[str]]) -> None:
        self.records: Records = {key: list(value) for key, value in records.items()}
        self.ttls: dict[tuple[str, str], int] = {}
        """Seconds of each name and kind; 60 where nothing is said."""
        self.denial: tuple[int, int] | None = None
        """Time to live and MINIMUM of the SOA that comes with a denial; None: no SOA."""
        self.failing: dict[str, str] = {}
        """What is answered for a name, for `name KIND` or for everything (`*`), instead: SERVFAIL,
        REFUSED."""
        self.asked: list[str] = []
        self.by_tcp: list[str] = []
        self.silent = False
        self.gate = threading.Event()
        """Answers wait for it, once the test has cleared it."""
        self.gate.set()

    @property
    def address(self) -> str:
        """For --resolver."""
        return f"127.0.0.1:{self.port}"

    def answer(self, data: bytes) -> dns.message.Message:
        """The response to a query."""
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        question = query.question[0]
        name = _text(question.name)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {kind}")
        which = next((e for e in (name, f"{name} {kind}", "*") if e in self.failing), "")
        rcode = self.failing.get(which)
        if rcode is not None:
            response.set_rcode(dns.rcode.from_text(rcode))
            return response
        self._follow(response, question.name, kind)
        return response

    def _follow(self, response: dns.message.Message, owner: dns.name.Name, kind: str) -> None:
        """Add what a name has, or what the name has that it is an alias of."""
        seen: set[str] = set()
        while _text(owner) not in seen:
            name = _text(owner)
            seen.add(name)
            found = self.records.get((name, kind), [])
            if found:
                self._add(response, owner, kind, found)
                return
            alias = self.records.get((name, "CNAME"))
            if alias is None:
                if not any(each == name for each, _ in self.records):
                    response.set_rcode(dns.rcode.NXDOMAIN)
                self._deny(response, owner)
                return
            self._add(response, owner, "CNAME", alias)
            owner = dns.name.from_text(alias[0])
        response.answer.clear()
        response.set_rcode(dns.rcode.SERVFAIL)  # Aliases in a circle.

    def _add(
        self, response: dns.message.Message, owner: dns.name.Name, kind: str, texts: list[str]
    ) -> None:
        ttl = self.ttls.get((_text(owner), kind), 60)
        response.answer.append(dns.rrset.from_text(owner, ttl, "IN", kind, *texts))

    def _deny(self, response: dns.message.Message, owner: dns.name.Name) -> None:
        if self.denial is None:
            return
        ttl, minimum = self.denial
        soa = f"ns.test. hostmaster.test. 1 7200 900 1209600 {minimum}"
        zone = dns.name.Name(owner.labels[-2:])
        response.authority.append(dns.rrset.from_text(zone, ttl, "IN", "SOA", soa))

    def __enter__(self) -> DnsServer:
        server = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                if server.silent:
                    return
                response = server.answer(data)
                server.gate.wait(30)
                wire = response.to_wire(want_shuffle=False)
                if len(wire) > _UDP_BYTES:
                    cut = dns.message.make_response(dns.message.from_wire(data))
                    cut.flags |= dns.flags.TC
                    wire = cut.to_wire()
                sock.sendto(wire, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                (length,) = struct.unpack(">H", self.rfile.read(2))
                response = server.answer(self.rfile.read(length))
                server.by_tcp.append(server.asked[-1])
                wire = response.to_wire(want_shuffle=False)
                self.wfile.write(struct.pack(">H", len(wire)) + wire)

        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stream)
        self.port = self._tcp.server_address[1]
        self._udp = socketserver.ThreadingUDPServer(("127.0.0.1", self.port), Datagram)
        self._servers: list[Any] = [self._tcp, self._udp]
        for each in self._servers:
            threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.gate.set()
        for each in self._servers:
            each.shutdown()
            each.server_close()


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def txt(*strings: str) -> str:
    """A TXT record's text, each string of at most 255 characters."""
    parts = [each[at : at + 255] for each in strings for at in range(0, len(each), 255)]
    return " ".join('"' + part.replace('"', '\\"') + '"' for part in parts)
