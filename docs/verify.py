#!/usr/bin/env python3
"""Verifies an exported journal, as docs/journal-format.md describes it: a second implementation, to show that the
description suffices. `annals verify` checks the same.

    python3 verify.py journal.ndjson 'annals-0123456789abcdef+01234567+AQ...'

Only the signature takes more than the standard library: the package `cryptography`.
"""

import base64
import hashlib
import json
import re
import struct
import sys
import uuid
from datetime import datetime, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
HEADER = ["format", "version", "tenant", "key", "events"]
EVENT = ["tenant", "position", "stream_kind", "stream_id", "sequence", "type", "version", "recorded_at"]
EVENT += ["payload", "metadata", "leaf_hash"]
CHECKPOINT = ["checkpoint"]


class Wrong(Exception):
    pass


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tenant_bytes(text):
    prefix, _, suffix = text.partition("_")
    if prefix != "ten" or len(suffix) != 26:
        raise Wrong(f"{text} is no tenant")
    number = 0
    for letter in suffix:
        number = number * 32 + BASE32.index(letter)
    return number.to_bytes(16, "big")


def text_bytes(text):
    raw = text.encode()
    return struct.pack(">I", len(raw)) + raw


def microseconds(text):
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text):
        raise Wrong(f"recorded_at is {text}")
    since = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc) - EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def leaf_hash(event):
    return sha256(
        b"\x00",
        tenant_bytes(event["tenant"]),
        struct.pack(">Q", event["position"]),
        text_bytes(event["stream_kind"]),
        uuid.UUID(event["stream_id"]).bytes,
        struct.pack(">Q", event["sequence"]),
        text_bytes(event["type"]),
        struct.pack(">H", event["version"]),
        struct.pack(">q", microseconds(event["recorded_at"])),
        text_bytes(event["payload"]),
        text_bytes(event["metadata"]),
    )


class Tree:
    """The roots of the perfect subtrees, the largest first: [(height, hash)]."""

    def __init__(self):
        self.size, self.roots = 0, []

    def push(self, leaf):
        self.size += 1
        height = 0
        while self.roots and self.roots[-1][0] == height:
            leaf = sha256(b"\x01", self.roots.pop()[1], leaf)
            height += 1
        self.roots.append((height, leaf))

    def root(self):
        if not self.roots:
            return sha256()
        root = self.roots[-1][1]
        for _, left in reversed(self.roots[:-1]):
            root = sha256(b"\x01", left, root)
        return root


class Key:
    def __init__(self, line):
        self.name, key_id, encoded = line.strip().split("+", 2)
        self.key = base64.b64decode(encoded, validate=True)
        self.id = bytes.fromhex(key_id)
        if self.key[:1] != b"\x01" or len(self.key) != 33:
            raise Wrong("the key is not an Ed25519 key")
        if sha256(self.name.encode(), b"\n", self.key)[:4] != self.id:
            raise Wrong("the key's hash is not that of the key")

    def open(self, note, tenant):
        """The size and the root that a checkpoint signs."""
        text, _, signatures = note.rpartition("\n\n")
        text += "\n"
        for line in signatures.splitlines():
            dash, name, encoded = line.split(" ")
            signature = base64.b64decode(encoded, validate=True)
            if dash == "\u2014" and name == self.name and signature[:4] == self.id:
                self.check(signature[4:], text.encode())
                break
        else:
            raise Wrong("the checkpoint is not signed with this key")
        origin, size, root = text.splitlines()[:3]
        if origin != f"{self.name}/{tenant}":
            raise Wrong(f"the checkpoint is of {origin}")
        return int(size), base64.b64decode(root, validate=True)

    def check(self, signature, text):
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            print("the signature is NOT checked: that takes the package `cryptography`", file=sys.stderr)
            return
        try:
            Ed25519PublicKey.from_public_bytes(self.key[1:]).verify(signature, text)
        except InvalidSignature:
            raise Wrong("the signature is wrong") from None


def entries(lines):
    """What the lines hold, each of which must be written in the one way that it can be."""
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        if line != json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n":
            raise Wrong(f"line {number} is not written as an export is")
        if list(entry) not in (HEADER, EVENT, CHECKPOINT):
            raise Wrong(f"line {number} has other fields, or in another order")
        yield entry


def verify(lines, key):
    lines = entries(lines)
    header = next(lines)
    if (header["format"], header["version"], header["key"]) != ("annals-journal", 1, key.name):
        raise Wrong(f"the header is {header}")
    tenant, tree, streams, earlier, covered = header["tenant"], Tree(), {}, "", False
    for entry in lines:
        covered = "checkpoint" in entry
        if covered:
            if key.open(entry["checkpoint"], tenant) != (tree.size, tree.root()):
                raise Wrong(f"the checkpoint after position {tree.size} is of another tree")
            continue
        position = tree.size + 1
        stream = entry["stream_id"]
        streams[stream] = streams.get(stream, 0) + 1
        leaf = leaf_hash(entry)
        for what, is_so in [
            ("the position", entry["position"] == position),
            ("the tenant", entry["tenant"] == tenant),
            ("the leaf hash", entry["leaf_hash"] == leaf.hex()),
            ("the stream's id", stream == str(uuid.UUID(stream))),
            ("the time", entry["recorded_at"] >= earlier),
            ("the number in the stream", entry["sequence"] == streams[stream]),
        ]:
            if not is_so:
                raise Wrong(f"position {position}: {what} is wrong")
        earlier = entry["recorded_at"]
        tree.push(leaf)
    if not covered or tree.size != header["events"]:
        raise Wrong(f"it ends after position {tree.size} of {header['events']}, or without a checkpoint")
    return f"{tenant}: good: {tree.size} events, root {tree.root().hex()}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        with open(sys.argv[1], encoding="utf-8", newline="\n") as lines:
            print(verify(iter(lines), Key(sys.argv[2])))
    except (Wrong, ValueError, KeyError, StopIteration) as wrong:
        print(f"WRONG: {wrong or type(wrong).__name__}")
        sys.exit(1)


if __name__ == "__main__":
    main()
