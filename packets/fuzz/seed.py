#!/usr/bin/env python3
"""Seeds the corpora: whole captures for those that read captures, payloads for those that read messages.

usage: seed.py FOLDER_OF_CAPTURES

The recordings are not part of the project, and corpora are not committed."""

import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
LARGEST = 64 * 1024


def frames(data):
    """The packets of a classic capture; nothing for any other file."""
    magic = data[:4]
    if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        order = "<"
    elif magic in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        order = ">"
    else:
        return
    link, at = struct.unpack(order + "I", data[20:24])[0], 24
    while at + 16 <= len(data):
        length = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        yield link, data[at + 16:at + 16 + length]
        at += 16 + length


def payload(link, frame):
    """Protocol, ports and payload of a plain packet over IPv4."""
    at = {1: 14, 101: 0, 113: 16, 0: 4}.get(link)
    if at is None or len(frame) < at + 20 or frame[at] >> 4 != 4:
        return None
    protocol, start = frame[at + 9], at + (frame[at] & 15) * 4
    total = at + struct.unpack(">H", frame[at + 2:at + 4])[0]
    if protocol == 17:
        ports, start = struct.unpack(">HH", frame[start:start + 4]), start + 8
    elif protocol == 6 and len(frame) > start + 13:
        ports, start = struct.unpack(">HH", frame[start:start + 4]), start + (frame[start + 12] >> 4) * 4
    else:
        return None
    return protocol, ports, frame[start:total]


def put(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    if 0 < len(data) <= LARGEST:
        (folder / name).write_bytes(data)


def main():
    for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.pcap")):
        data, name = path.read_bytes(), path.stem[:40]
        put("capture", name, data)
        put("import", name, data)
        streams = {}
        for number, (link, frame) in enumerate(frames(data)):
            found = payload(link, frame)
            if found is None:
                continue
            protocol, ports, content = found
            if 53 in ports or 5353 in ports:
                put("dns", f"{name}-{number}", content[2:] if protocol == 6 else content)
            if protocol == 6:
                streams.setdefault(ports, bytearray()).extend(content)
        for number, stream in enumerate(streams.values()):
            start = bytes(stream[:16384])
            if start.startswith(b"\x16\x03"):
                put("tls", f"{name}-{number}", start)
                put("tls", f"{name}-{number}-body", start[9:2000])
            elif start.startswith((b"GET ", b"POST ", b"HEAD ", b"HTTP/1")):
                put("http1", f"{name}-{number}", start)
                put("redact", f"{name}-{number}", start.split(b"\r\n\r\n")[0])
            elif start.startswith(b"PRI * HTTP/2"):
                put("http2", f"{name}-{number}", start[24:])
            elif "grpc" in name or "http2" in name or "httpv2" in name:
                put("http2", f"{name}-{number}", start)
    for folder, target in (("vpcflow", "flow_logs"), ("netobserv", "flow_logs")):
        for path in sorted((pathlib.Path(sys.argv[1]).parent / folder).glob("*")):
            put(target, path.name[:40], path.read_bytes()[:LARGEST])


if __name__ == "__main__":
    main()
