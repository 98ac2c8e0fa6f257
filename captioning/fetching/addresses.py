"""Every address of the project; CAPTIONING_MIRROR points all of them elsewhere."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from captioning.fetching.asking import DownloadError

_COCO = "http://images.cocodataset.org"  # no https: the certificate there is for another name
_FLICKR8K = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_NARRATIVES = "https://storage.googleapis.com/localized-narratives/annotations"
# Entries of whole files are arguments of `fetch`, which refuses a file of another size or sum: COCO comes without
# https, so that nothing else vouches for it. Those of single photos are filled in with `str.format`.
URLS: dict[str, dict] = {
    "coco-train2014": {
        "url": f"{_COCO}/zips/train2014.zip",
        "md5": "0da8c0bd3d6becc4dcb32757491aca88",
        "size": 13_510_573_713,
    },
    "coco-val2014": {
        "url": f"{_COCO}/zips/val2014.zip",
        "md5": "a3d79f5ed8d289b7a7554ce06a5782b3",
        "size": 6_645_013_297,
    },
    "coco-annotations": {
        "url": f"{_COCO}/annotations/annotations_trainval2014.zip",
        "md5": "0a379cfc70b0e71301e0f377548639bd",
        "size": 252_872_794,
    },
    "karpathy-splits": {"url": "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"},
    "flickr8k-photos": {"url": f"{_FLICKR8K}/Flickr8k_Dataset.zip", "md5": "f18a1e2920de5bd84dae7cf08ec78978"},
    "flickr8k-text": {"url": f"{_FLICKR8K}/Flickr8k_text.zip", "md5": "bf6c1abcb8e4a833b7f922104de18627"},
    "open-images-train": {"url": f"{_NARRATIVES}/open_images_train_v6_captions.jsonl"},
    "coco-photo": {"url": _COCO + "/{folder}/{name}"},
    "open-images-photo": {"url": "https://open-images-dataset.s3.amazonaws.com/{split}/{id}.jpg"},
}


def mirror(url: str, base: str | None = None) -> str:
    """Return the address under which a mirror serves a file: `base`/host/path.

    Args:
        url: the original address.
        base: address of the mirror; default: the setting CAPTIONING_MIRROR; without one the address stays.

    Raises:
        DownloadError: the setting is no http address.
    """
    base = (os.environ.get("CAPTIONING_MIRROR", "") if base is None else base).rstrip("/")
    if not base or url.startswith(base + "/"):
        return url
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).netloc:
        raise DownloadError(f"CAPTIONING_MIRROR is {base!r}: give an address like https://mirror.example/files.")
    parts = urlsplit(url)
    return f"{base}/{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")
