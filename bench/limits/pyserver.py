"""The bare prototype: how fast one Python process can answer PAP at all. An upper bound, not a product.

It drains its socket under uvloop, checks the Message-Authenticator, walks the attributes into a dict, compares the
password (PAP or CHAP), takes the login from a dict in memory and answers with ready-made attributes. It has no duplicate
detection, no policy, no counters and no database.

    pyserver.py PORT [--logins N]
"""

import argparse
import asyncio
import gc
import hmac
import os
import socket
import struct
from _md5 import md5

import uvloop

SECRET = b"testing123"
PARENT_CHECK_S = 0.5


def logins_table(count):
    """user name -> (password as a number, ready reply attributes, password)"""
    table = {}
    for i in range(count):
        plan = i % 10 + 1
        rate = b"%dM/%dM" % (10 * plan, 50 * plan)
        vendor = struct.pack("!BBIBB", 26, 8 + len(rate), 14988, 8, 2 + len(rate)) + rate
        address = b"\x08\x06" + struct.pack("!I", 0x64400000 + i)
        attributes = b"\x06\x06\0\0\0\x02\x07\x06\0\0\0\x01\x55\x06\0\0\x01\x2c" + vendor + address
        password = b"pass%06d" % i
        table[b"user%06d" % i] = (int.from_bytes(password.ljust(16, b"\0"), "big"), attributes, password)
    return table


def responder(logins):
    """Return a function (datagram, address) -> reply or None. Locals throughout: this is the floor of the language."""
    from_bytes = int.from_bytes
    zero16 = bytes(16)
    pack_head = struct.Struct("!BBH").pack
    unpack_head = struct.Struct("!BBH").unpack_from
    clients = {"127.0.0.1": SECRET}
    states = {ip: (md5(secret), secret) for ip, secret in clients.items()}
    keys = {}
    for ip, secret in clients.items():
        key = secret.ljust(64, b"\0")
        keys[ip] = (md5(bytes(b ^ 0x36 for b in key)), md5(bytes(b ^ 0x5C for b in key)))

    def answer(d, addr):
        st = states.get(addr[0])
        if st is None:
            return None
        code, ident, length = unpack_head(d)
        if length > len(d) or length < 20 or code != 1:
            return None
        a = {}
        i = 20
        ma = 0
        while i < length:
            t = d[i]
            n = d[i + 1]
            if n < 2:
                return None
            if t == 80:
                ma = i + 2
            a[t] = d[i + 2 : i + n]
            i += n
        if i != length:
            return None
        inner, outer = keys[addr[0]]
        if ma:
            h = inner.copy()
            h.update(d[:ma] + zero16 + d[ma + 16 : length])
            o = outer.copy()
            o.update(h.digest())
            if o.digest() != a[80]:
                return None
        ra = d[4:20]
        u = logins.get(a.get(1))
        hidden = a.get(2)
        chap = a.get(3)
        if u is None or (hidden is None and chap is None):
            return None
        if hidden is None:
            is_right = md5(chap[:1] + u[2] + a.get(60, ra)).digest() == chap[1:]
        else:
            m = st[0].copy()
            m.update(ra)
            is_right = from_bytes(m.digest(), "big") ^ from_bytes(hidden, "big") == u[0]
        if not is_right:
            rest = b""
            rcode = 3
        else:
            rest = u[1]
            rcode = 2
        head = pack_head(rcode, ident, 38 + len(rest))
        h = inner.copy()
        h.update(head + ra + b"\x50\x12" + zero16 + rest)
        o = outer.copy()
        o.update(h.digest())
        rest = b"\x50\x12" + o.digest() + rest
        return head + md5(head + ra + rest + st[1]).digest() + rest

    return answer


def drained(sock, answer):
    """Return the reader's callback: up to 64 datagrams a wake-up, each answered at once."""
    recv, send = sock.recvfrom, sock.sendto

    def on_readable():
        try:
            for _ in range(64):
                d, addr = recv(4096)
                r = answer(d, addr)
                if r is not None:
                    send(r, addr)
        except (BlockingIOError, InterruptedError):
            pass

    return on_readable


async def serve(sock, answer):
    """Answer until the parent is gone."""
    parent = os.getppid()
    asyncio.get_running_loop().add_reader(sock.fileno(), drained(sock, answer))
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_CHECK_S)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--logins", type=int, default=100_000)
    arguments = parser.parse_args()
    answer = responder(logins_table(arguments.logins))
    gc.collect()
    gc.freeze()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(("127.0.0.1", arguments.port))
    sock.setblocking(False)
    uvloop.run(serve(sock, answer))


if __name__ == "__main__":
    main()
