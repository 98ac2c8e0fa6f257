"""Hosts that send something odd, and how a photo of theirs is refused."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from PIL import Image

from captioning.fetching.photo import WebPhoto, WebPhotoError
from tests.pictures import saved

PNG = saved(Image.new("RGB", (8, 8), "red"), "PNG")
HEAD = b"HTTP/1.1 200 OK\r\n"
PRIVATE = r"this machine or a private network.*--allow-private"


@contextmanager
def raw(*beginning, endless=b"", pause=0.0, host="127.0.0.1"):
    """A server that sends these bytes whatever it is asked, then others until the client hangs up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:

        def answer():
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    try:
                        client.recv(4096)
                        client.sendall(b"".join(beginning))
                        while endless:
                            time.sleep(pause)
                            client.sendall(endless)
                    except OSError:
                        pass

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/dog.png"
        listening.shutdown(socket.SHUT_RDWR)


def refused(address, allow_private=True):
    """Return why a photo cannot be fetched: one line that names the address."""
    with pytest.raises(WebPhotoError) as error:
        WebPhoto(address, allow_private).read()
    text = str(error.value)
    assert text.startswith(f"{WebPhoto(address).name}: ") and text.isprintable() and text.endswith((".", "only."))
    assert "CAPTIONING_MIRROR" not in text and "  " not in text
    return text.removeprefix(f"{WebPhoto(address).name}: ")
