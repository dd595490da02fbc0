"""Content codings: bounded when they are unpacked, chosen as clients prefer."""

import gzip
import zlib

import pytest

from serving.inference.errors import InvalidRequest, NotOffered, TooLarge
from serving.server.content import packed, unpacked
from serving.server.messages import Request, Response

PACK = {"gzip": gzip.compress, "deflate": zlib.compress}


def request(body: bytes = b"", **headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/", "", names, body)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_is_unpacked_up_to_the_limit(coding):
    asked = request(PACK[coding](b"x" * 1000), content_encoding=coding.upper())
    assert unpacked(asked, 1000) == b"x" * 1000
    with pytest.raises(TooLarge, match="unpacks to more than 999 bytes"):
        unpacked(asked, 999)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"more", lambda b: b"junk"])
def test_a_damaged_cut_or_lengthened_body_is_refused(coding, damage):
    with pytest.raises(InvalidRequest, match=coding):
        unpacked(request(damage(PACK[coding](b"x" * 1000)), content_encoding=coding), 10**6)


def test_an_unknown_coding_is_not_offered_and_none_is_none():
    with pytest.raises(NotOffered, match="expected gzip or deflate"):
        unpacked(request(b"x", content_encoding="br"), 10)
    assert unpacked(request(b"x", content_encoding="identity"), 10) == b"x"


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=0.5, deflate;q=0.9", "deflate"),
        ("gzip;q=0, deflate; q=0.1", "deflate"),
        ("gzip;q=x", None),
        ("br, identity", None),
        ("", None),
    ],
)
def test_an_answer_is_packed_as_the_client_prefers(accepted, chosen):
    response = packed(request(accept_encoding=accepted), Response(b"y" * 2000))
    headers = dict(response.headers)
    assert headers.get("content-encoding") == chosen
    if chosen:
        unpack = gzip.decompress if chosen == "gzip" else zlib.decompress
        assert unpack(response.body) == b"y" * 2000


def test_a_short_answer_is_sent_as_it_is():
    assert packed(request(accept_encoding="gzip"), Response(b"y")).headers == ()
