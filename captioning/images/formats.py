"""Which files are opened as pictures; what the others are."""

from __future__ import annotations

import re
import struct
from typing import IO

from PIL import Image

# What is opened, if this Pillow can; HEIF where the reader has registered the package pillow-heif. Never EPS, WMF and
# the like, for which Pillow starts other programs.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "HEIF")
Image.init()
EXTENSIONS = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}  # in lower case
# What is called .jpg and is none: how its bytes start, what it is.
_OTHER = tuple((re.compile(start, re.DOTALL | re.IGNORECASE), told) for start, told in (
    (rb"\Z", "the file is empty"),
    (rb".{4}ftyp(avi[fs]|.{4,28}avif)", "AVIF, which this Pillow cannot open: update it (pip install -U pillow)"),
    (rb".{4}ftyp(he[iv][cmsx]|mi[af]1|msf1)", "HEIC, which Pillow cannot open: convert it to JPEG, for example with "
     "the phone's own export, or install pillow-heif and call pillow_heif.register_heif_opener() first"),
    (rb".{4}ftyp|.{4}moov|\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xb3\xba]|FLV", "a video"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript (EPS), a program rather than a photo: export it as PNG"),
    (rb"%PDF", "a PDF: export its page as PNG"),
    (rb"(\xd7\xcd\xc6\x9a|\x01\0{3}.{36} EMF)", "a Windows metafile (WMF, EMF): export it as PNG"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*)?<(!DOCTYPE )?svg", "an SVG drawing: export it as PNG"),
    (rb"(\xef\xbb\xbf)?\s*(<!--.*|<\?xml.*)?<(!DOCTYPE |/?[a-z]+[ >])",
     "a web page, perhaps a sign-in or error page of the server: fetch the photo again"),
    (rb"8BPS", "a Photoshop document: export it as PNG"),
    (rb"\0{3}\x0c(jP  |JXL )|\xff(\x4f\xff|\x0a)", "JPEG 2000 or JPEG XL: convert it to JPEG"),
    (rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf", "an archive: unpack it"),
    (rb"version https://git-lfs", "a pointer of Git LFS: run git lfs pull"),
    (rb"[\t\n\r -~\x80-\xff]+\Z", "a text"),
))  # fmt: skip


class ImageError(ValueError):
    """What should be a picture cannot be read as one."""


def recognized(file: IO[bytes], name: str) -> Image.Image:
    """Return a picture of which only the header has been read.

    As `Image.open(file, formats=FORMATS)` does it, without its limit of pixels: the memory that is needed counts here.
    """
    start = file.read(2048)
    for kind in FORMATS:
        factory, accepts = Image.OPEN.get(kind, (None, None))
        if factory:
            try:
                if accepts is None or accepts(start[:16]) is True:  # else it may say why not
                    file.seek(0)
                    return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    told = next((told for pattern, told in _OTHER if pattern.match(start)), "Pillow does not know its format")
    raise ImageError(f"{name} is not a picture that can be read: {told}.")
