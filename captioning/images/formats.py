"""Which files are opened as pictures; what the others are."""

import re
import struct
from contextlib import suppress
from typing import IO

from PIL import Image

with suppress(ImportError):  # the extra `heic`
    from pillow_heif import register_heif_opener

    register_heif_opener()
# What is opened, if this Pillow can: AVIF from 11.3, HEIF with pillow-heif. Never EPS, WMF or others for which Pillow
# starts other programs.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "HEIF")
Image.init()
EXTENSIONS = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}  # in lower case
# How the bytes of other files start that are called .jpg -> what they are.
_OTHER = {
    rb"\Z": "an empty file",
    rb".{4}ftyp(?!avi[fs]|he[iv][cmsx]|mi[af]1|msf1)|.{4}moov": "a video",
    rb"\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xb3\xba]|FLV": "a video",
    rb"%!PS|\xc5\xd0\xd3\xc6": "PostScript (EPS), a program rather than a photo",
    rb"%PDF": "a PDF",
    rb"\xd7\xcd\xc6\x9a|\x01\0{3}.{36} EMF": "a Windows metafile",
    rb"(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*)?<(!DOCTYPE )?svg": "an SVG drawing",
    rb"(\xef\xbb\xbf)?\s*(<!--.*|<\?xml.*)?<(!DOCTYPE |/?[a-z]+[ >])": "a web page, perhaps to sign in",
    rb"8BPS": "a Photoshop document",
    rb"\0\0[\1\2]\0|icns": "an icon",
    rb"\0{3}\x0c(jP  |JXL )|\xff(\x4f\xff|\x0a)": "JPEG 2000 or JPEG XL",
    rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf": "an archive",
    rb"version https://git-lfs": "a pointer of Git LFS (git lfs pull fetches the photo)",
    rb"[\t\n\r -~\x80-\xff]+\Z": "a text",
}
# Kind -> how its files start, and what to do where they cannot be opened.
_MISSING = {
    "AVIF": (rb".{4}ftyp(avi[fs]|.{4,28}avif)", "AVIF, which needs a newer Pillow (pip install -U pillow)"),
    "HEIF": (
        rb".{4}ftyp(he[iv][cmsx]|mi[af]1|msf1)",
        "HEIC, for which pillow-heif is missing (pip install pillow-heif, then start again)",
    ),
}


class ImageError(ValueError):
    """What should be a picture cannot be read as one."""


def recognized(file: IO[bytes], name: str) -> Image.Image:
    """Return a picture of which only the header has been read.

    As `Image.open(file, formats=FORMATS)` does it, without its limit of pixels: the memory that is needed counts here.
    """
    start, broken = file.read(2048), None
    for kind in FORMATS:
        factory, accepts = Image.OPEN.get(kind, (None, None))
        accepted = False
        try:
            accepted = accepts is None or accepts(start[:16]) is True  # else it may say why not
            if factory and accepted:
                file.seek(0)
                return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            if accepted:
                broken = f"a {kind} file, damaged or of a rare kind ({error})"
    known = [*(way for kind, way in _MISSING.items() if kind not in Image.OPEN), *_OTHER.items()]
    found = (told for pattern, told in known if re.match(pattern, start, re.DOTALL | re.IGNORECASE))
    told = next(found, broken or "of an unknown format")
    raise ImageError(
        f"{name} is not a picture that can be read: it is {told}. Save it as JPEG or PNG, or fetch it again."
    )
