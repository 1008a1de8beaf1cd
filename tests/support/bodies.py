"""Bodies of answers, to be cut and damaged: a page of the search API, a web page, and files."""

from __future__ import annotations

import gzip
import io
import zipfile

import msgspec

GZIP = "Content-Encoding: gzip"
_ROWS = "".join(f"2026-10-0{number % 7 + 1},Mortgage,{number + 1}\n" for number in range(2_000))

CSV = f"Date received,Product,Complaint ID\n{_ROWS}".encode()
HTML = (
    b"<!DOCTYPE html>\n<html lang=en><body>"
    b'<a href="July_2026.zip">July</a><a href="August_2026.zip">August</a></body></html>\n'
)


def page(count: int = 2) -> bytes:
    """Return a page of the search API with this many hits, the newest first."""
    hits = [
        {"_id": str(number), "_source": {"company": "é" * 40}, "sort": [number, str(number)]}
        for number in range(count, 0, -1)
    ]
    day = "2026-10-07T12:00:00-05:00"
    return msgspec.json.encode(
        {
            "timed_out": False,
            "_shards": {"failed": 0},
            "hits": {"total": {"value": count}, "hits": hits},
            "_meta": {"last_updated": day, "last_indexed": day, "total_record_count": count},
        }
    )


def zipped() -> bytes:
    """Return a zip with the CSV."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("complaints.csv", CSV)
    return file.getvalue()


JSON = page()
ZIP = zipped()


def damaged(body: bytes) -> bytes:
    """Return a gzip of a body, with one wrong byte in its checksum."""
    packed = bytearray(gzip.compress(body))
    packed[-6] ^= 0xFF
    return bytes(packed)
