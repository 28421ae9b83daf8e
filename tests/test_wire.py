"""The wire: frames against independent libraries, survival of any bytes, counting of losses."""

import struct
import subprocess

import pytest
from cobs import cobs
from fastcrc import crc32 as crc_library
from hypothesis import given
from hypothesis import strategies as st

from eesm import framing, wire
from eesm.cyclic import MASK
from tests.test_repository import ROOT

FIRMWARE = ROOT / "firmware"

payloads = st.binary(max_size=wire.MAX_PAYLOAD)
# Much of real content is zeros, and runs around 254 bytes are where COBS is intricate.
contents = st.one_of(
    st.binary(max_size=600),
    st.lists(st.sampled_from([b"\0", b"\1", b"\xff", b"a" * 253, b"b" * 254, b"c" * 255]), max_size=5).map(
        b"".join
    ),
)
messages = st.tuples(st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, MASK), payloads)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at the given places (modulo its length)."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    ends = [*places, len(data)]
    return [data[a:b] for a, b in zip([0, *places], ends, strict=True)]


@given(contents)
def test_frames_agree_with_the_libraries(data):
    content = bytearray(data + bytes(framing.CRC_SIZE))
    frame = bytearray(framing.size_of_frame(len(content)))
    size = framing.seal(content, len(data), frame)
    checked = data + struct.pack("<I", crc_library.iso_hdlc(data))
    assert content == checked
    assert frame[:size] == cobs.encode(checked) + b"\0"
    assert wire.unstuff(bytes(frame[: size - 1])) == checked


@given(st.binary(max_size=600).map(lambda data: data.replace(b"\0", b"")))
def test_cobs_of_any_bytes_is_decoded_or_refused_like_the_library(data):
    try:
        expected = cobs.decode(data)
    except cobs.DecodeError:
        expected = None
    assert wire.unstuff(data) == expected


@given(st.lists(messages, max_size=4), st.lists(st.integers(0, 4000), max_size=8))
def test_messages_pass_however_the_bytes_are_cut(sent, cuts):
    decoder = wire.Decoder()
    data = b"".join(wire.pack(*message) for message in sent)
    received = [message for piece in in_pieces(data, cuts) for message in decoder.feed(piece)]
    assert received == sent
    assert decoder.bad_crc == decoder.malformed == decoder.too_long == 0


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8), messages)
def test_decoder_survives_byte_soup_and_finds_the_next_frame(soup, cuts, message):
    decoder = wire.Decoder()
    for piece in in_pieces(soup, cuts):
        decoder.feed(piece)
        assert len(decoder._tail) <= wire.MAX_FRAME
    before = decoder.frames
    assert decoder.feed(b"\0" + wire.pack(*message)) == [message]
    assert decoder.frames == before + 1


@given(messages, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_never_passes_as_another_message(message, place, change):
    frame = bytearray(wire.pack(*message))
    frame[place % (len(frame) - 1)] ^= change
    decoder = wire.Decoder()
    assert decoder.feed(bytes(frame)) in ([], [message])
    # CRC-32 finds every error within 32 bits; a zero in the middle makes two broken frames instead.
    assert decoder.frames == 0


def test_too_long_a_frame_is_dropped_whole_and_counted_once():
    decoder = wire.Decoder()
    for _ in range(5):
        assert decoder.feed(b"x" * 400) == []
    assert decoder.too_long == 1
    assert decoder.feed(b"x\0" + wire.pack(wire.STOP, 3, 0, b"")) == [(wire.STOP, 3, 0, b"")]
    assert decoder.too_long == 1


def test_too_long_a_payload_is_not_sent():
    with pytest.raises(ValueError, match="480"):
        wire.pack(wire.OK, 0, 0, bytes(481))
    assert len(wire.pack(wire.OK, 0, 0, b"\1" * 480)) <= wire.MAX_FRAME + 1 <= 512


def test_lost_and_repeated_frames_are_counted():
    decoder = wire.Decoder()
    for sequence in (0xFFFE, 0xFFFF, 0, 3, 3, 4):
        decoder.feed(wire.pack(wire.HEARTBEAT, sequence, 0, b""))
    assert (decoder.lost, decoder.repeated, decoder.frames) == (2, 1, 6)
    decoder.resynchronise()
    decoder.feed(wire.pack(wire.HEARTBEAT, 900, 0, b""))
    assert decoder.lost == 2


def test_another_protocol_is_counted_and_named():
    decoder = wire.Decoder()
    assert decoder.feed(wire.pack(wire.HELLO, 0, 0, b"", version=9)) == []
    assert (decoder.bad_version, decoder.foreign) == (1, 9)


@given(st.sampled_from(sorted(wire.REQUESTS)), st.binary(max_size=60))
def test_a_request_fits_its_layout_or_is_refused_whole(kind, payload):
    layout, tail = wire.REQUESTS[kind][1:3]
    fixed = wire.TOKEN_SIZE + struct.calcsize(layout)
    try:
        token, fields, rest = wire.parse_request(kind, payload)
    except ValueError as error:
        assert wire.REQUESTS[kind][0] in str(error)
        assert len(payload) != fixed
    else:
        assert struct.pack("<I", token) + (struct.pack(layout, *fields) if layout else b"") == payload[
            :fixed
        ] or ("d" in layout)
        assert rest == payload[fixed:]
        if not tail:
            assert rest == b""
        elif tail != "text":
            assert len(wire.words_of(rest, tail)) * struct.calcsize(tail) == len(rest)


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind 63"):
        wire.parse_request(63, b"")


@pytest.mark.micropython
def test_micropython_makes_the_same_frames(micropython, tmp_path):
    script = tmp_path / "frames.py"
    script.write_text(
        """
import sys
sys.path.insert(0, sys.argv[1])
from eesm import wire
from eesm.cyclic import MASK
decoder = wire.Decoder()
for n in range(0, 481, 13):
    payload = bytes([(k * k * 7 + n) & (255 if n % 2 else 1) for k in range(n)])
    frame = wire.pack(n & 127, n * 301, 0x3FFFFFFF - n, payload)
    assert decoder.feed(frame[:7]) == []
    assert decoder.feed(frame[7:]) == [(n & 127, n * 301 & 0xFFFF, 0x3FFFFFFF - n, payload)]
    print(frame.hex())
for kind in wire.REQUESTS:
    try:
        wire.parse_request(kind, bytes(4))
    except ValueError:
        pass
"""
    )
    done = subprocess.run([*micropython, str(script), str(FIRMWARE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    frames = []
    for n in range(0, 481, 13):
        payload = bytes([(k * k * 7 + n) & (255 if n % 2 else 1) for k in range(n)])
        frames.append(wire.pack(n & 127, n * 301, 0x3FFFFFFF - n, payload).hex())
    assert done.stdout.split() == frames
