"""Compressed content: one format byte, then zstd (or the bytes themselves when that is shorter).

Decompression is bounded by `limit_bytes`, so that a damaged value cannot exhaust memory.
"""

from __future__ import annotations

import threading

import zstandard

from shared.model.message import (
    Content,
    UnknownFormat,
    check_format,
    decode_content,
    encode_content,
)

_PLAIN = b"\x01"
_ZSTD = b"\x02"
_LIMIT_BYTES = 64 * 1024 * 1024
_local = threading.local()


def _compressor() -> zstandard.ZstdCompressor:
    """One compressor a thread: they are not safe to share, and cost more to make than to use."""
    found: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if found is None:
        found = _local.compressor = zstandard.ZstdCompressor(level=1)
    return found


def _decompressor() -> zstandard.ZstdDecompressor:
    found: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if found is None:
        found = _local.decompressor = zstandard.ZstdDecompressor()
    return found


def pack_content(content: Content) -> tuple[bytes, int]:
    """`content` as stored, and its size in bytes before compression."""
    plain = encode_content(content)
    packed = _compressor().compress(plain)
    if len(packed) < len(plain):
        return _ZSTD + packed, len(plain)
    return _PLAIN + plain, len(plain)


def unpack_content(packed: bytes, limit_bytes: int = _LIMIT_BYTES) -> Content:
    """The inverse of `pack_content`. Raises `UnknownFormat` on damaged or newer values."""
    kind = packed[:1]
    if kind == _PLAIN:
        return decode_content(packed[1:])
    check_format("content", packed, _ZSTD[0])
    try:
        parameters = zstandard.get_frame_parameters(packed[1:65])
        if parameters.content_size > limit_bytes:
            raise UnknownFormat(f"content of {parameters.content_size} bytes is over {limit_bytes}")
        plain = _decompressor().decompress(packed[1:], max_output_size=limit_bytes)
    except zstandard.ZstdError as error:
        raise UnknownFormat("the content is damaged") from error
    return decode_content(plain)
