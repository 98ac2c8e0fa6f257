"""Pictures, however people have them: opened safely, upright, in RGB, in a bounded amount of memory."""

from captioning.images.formats import EXTENSIONS, ImageError
from captioning.images.given import ACCEPTED, Picture, each, is_one
from captioning.images.opening import RESIZE, load_pixels, open_image, shrink

__all__ = ["ACCEPTED", "EXTENSIONS", "RESIZE", "ImageError", "Picture", "each", "is_one"]
__all__ += ["load_pixels", "open_image", "shrink"]
