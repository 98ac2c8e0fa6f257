"""A small bundle with a small encoder, packed, and zips that are nearly such a model."""

import hashlib
import io
import json
import zipfile

import numpy as np

from captioning import encoders
from captioning.bundle.packed import MANIFEST
from tests.bundles import edit, finished, made_in
from tests.tiny_encoder import SPEC


def bundle_in(folder):
    """Finish a bundle whose features could be those of the tiny encoder with drawn weights; return what was made."""
    made = made_in(folder)
    bundle, _ = finished(made, channels=SPEC.channels, regions=SPEC.regions)
    edit(bundle, encoder=encoders.load(SPEC.name, "random", None).identity, weights_folder=str(folder))
    return made, bundle


def members_of(content):
    """Return name -> bytes of a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members):
    """Return a zip; a name may be there twice, and may be a ZipInfo."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def changed(content, manifest=None, **members):
    """Return a packed model with other members, and a manifest that vouches for them; None leaves one out.

    Args:
        content: the packed model.
        manifest: fields of it that are others; or its bytes.
        members: name, with an underscore for the dot -> new content, text or a function of the old bytes.
    """
    kept = members_of(content)
    told = json.loads(kept.pop(MANIFEST))
    for name, new in members.items():
        name = name.replace("_", ".") if name != "model_card_json" else "model_card.json"
        new = new(kept[name]) if callable(new) else new
        kept[name] = new.encode() if isinstance(new, str) else new
    kept = {name: member for name, member in kept.items() if member is not None}
    told["members"] = {name: hashlib.sha256(member).hexdigest() for name, member in kept.items()}
    told = manifest if isinstance(manifest, bytes) else json.dumps(told | (manifest or {})).encode()
    return zipped([(MANIFEST, told), *kept.items()])


def edited(**fields):
    """Return a change of a JSON member: these fields are others."""
    return lambda content: json.dumps(json.loads(content) | fields)


def with_arrays(change):
    """Return a change of an .npz: what `change` makes of its arrays by name."""

    def of(content):
        with np.load(io.BytesIO(content)) as file:
            arrays = change(dict(file))
        new = io.BytesIO()
        np.savez(new, **arrays)
        return new.getvalue()

    return of


class Run:
    """Would leave a trace if it were unpickled."""

    ran = False

    def __reduce__(self):
        return setattr, (Run, "ran", True)
