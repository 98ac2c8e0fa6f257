"""A panel for live notebooks: choose a model, give photos by hand, see what it says and where it looks."""

import base64
import html
import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import matplotlib.pyplot as plt

from captioning import images, plotting
from captioning.bundle import Answer, Bundle
from captioning.datasets.records import Record
from captioning.findings.finding import Finding
from captioning.images import ImageError
from captioning.serving.own_photos import Photo, records_of
from captioning.settings import RESOLVED

MOST = 12  # photos shown at a time
SIDE = 480  # pixels; the picture shown is about so large
NO_HANDS = Finding(
    "Nobody can reach a panel here, because this page was made without a browser. In JupyterLab this cell shows one: "
    "choose a model, upload photos, name a folder or an address, or take a photo with the camera."
)


def panel(bundles: Mapping[str, Bundle], candidates: int = 3) -> ipywidgets.Widget | Finding:
    """Return a panel for models by name, with so many captions per photo; in the runner, what it would be for."""
    # A panel that the runner shows would leave its state in the executed copy, and nothing that a page can show.
    return NO_HANDS if os.environ.get(RESOLVED) else Panel(bundles, candidates)


class Camera(anywidget.AnyWidget):
    """The camera of the reader's browser; `take` gets the bytes of each photo, JPEG."""

    _esm = Path(__file__).with_name("camera.js")

    def __init__(self, take: Callable[[bytes], None]):
        super().__init__()
        self.on_msg(lambda _, content, buffers: take(bytes(buffers[0])))


class Panel(ipywidgets.VBox):
    """Model, photos and answers; errors are lines, and no name that a visitor gives is opened as a path."""

    def __init__(self, bundles: Mapping[str, Bundle], candidates: int = 3):
        """Build it; `bundles` and `candidates` as for `panel`."""
        self._bundles, self._candidates = bundles, candidates
        self._given: list[Record] = []
        wide = {"style": {"description_width": "110px"}, "layout": ipywidgets.Layout(width="620px")}
        self.model = ipywidgets.Dropdown(options=list(bundles), description="Model", **wide)
        self.upload = ipywidgets.FileUpload(
            accept="image/*", multiple=True, description="Choose photos", layout=ipywidgets.Layout(width="auto")
        )
        self.place = ipywidgets.Text(
            description="Path or address",
            placeholder="photo.jpg, a folder, or https://…; then Enter",
            continuous_update=False,
            **wide,
        )
        self.camera = Camera(lambda content: self._give([Photo("photo of the camera", content=content)]))
        self.attention = ipywidgets.Checkbox(True, description="Show where it looks", indent=False)
        self.consensus = ipywidgets.Checkbox(False, description="Similar train pictures decide", indent=False)
        self.said, self.answers = ipywidgets.HTML(), ipywidgets.HTML()
        for control in (self.model, self.attention, self.consensus):
            control.observe(lambda change: self._caption(), "value")
        self.upload.observe(lambda change: self._uploaded(change.new), "value")
        self.place.observe(lambda change: self._named(change.new.strip()), "value")
        by_hand = ipywidgets.HBox([self.upload, self.camera])
        switches = ipywidgets.HBox([self.attention, self.consensus])
        super().__init__([self.model, by_hand, self.place, switches, self.said, self.answers])

    def _uploaded(self, files: Iterable[dict]) -> None:
        if files:
            self.upload.value = ()  # so that the same file can be given again, and its bytes are in no saved state
            self._give([Photo(file["name"], content=bytes(file["content"])) for file in files])

    def _named(self, place: str) -> None:
        if place:
            self._give(place)

    def _give(self, pictures: Any) -> None:
        try:
            self._given = records_of(pictures)
        except (ValueError, TypeError, OSError) as error:
            self._say(str(error))
        else:
            self._caption()

    def _caption(self) -> None:
        """Caption the photos given last with the model chosen, one after another as they are done."""
        shown, parts, lines = self._given[:MOST], [], []
        if not shown:
            return
        self._say(f"Captioning with {self.model.value} …")
        self.answers.value = ""
        try:
            captioner = self._bundles[self.model.value]
            options = {"attention": True, "consensus": self.consensus.value, "keep_errors": True}
            found = captioner.captions([record.file for record in shown], self._candidates, **options)
            for record, answer in zip(shown, found, strict=True):
                if isinstance(answer, ImageError):
                    lines.append(str(answer))
                else:
                    parts.append(as_html(record, answer, self.attention.value))
                    self.answers.value = "".join(parts)
        except (ValueError, OSError) as error:  # of the model: its encoder's weights are missing, say
            lines.append(str(error))
        if len(self._given) > MOST:
            lines.append(f"Shown: the first {MOST} of {len(self._given):,} photos.")
        self._say(f"Captioned with {self.model.value}: {len(parts)} of {len(shown)}.", *lines)

    def _say(self, *lines: str) -> None:
        self.said.value = "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def as_html(record: Record, answer: Answer, attention: bool = True) -> str:
    """Return a photo with what a model says of it, and where it looked; every name and word is escaped."""
    name = html.escape(Path(getattr(record.file, "name", record.file)).name)
    others = [f"<li>{html.escape(each.caption)} ({each.log_probability:.1f})</li>" for each in answer.candidates]
    sure = (
        "" if answer.below is None else f"Surer of it than of {100 * answer.below:.0f} % of the validation captions. "
    )
    caption = html.escape(answer.caption or "(empty)")
    picture, shown = images.open_image(record.file, SIDE), io.BytesIO()
    picture.thumbnail((2 * SIDE, 2 * SIDE))
    picture.save(shown, "JPEG", quality=88)
    parts = [
        "<hr>", _image(shown.getvalue(), answer.caption, f"max-width:{SIDE}px"),
        f"<p><b>{caption}</b><br>{name}</p>",
        f"<p>{sure}Log-probabilities:</p><ol>{''.join(others)}</ol>",
    ]  # fmt: skip
    if attention and answer.attention is None:
        parts.append("<p>This model has no attention to show.</p>")
    elif answer.attention is not None and attention and answer.words:
        figure: Any = plotting.show_attention(record.file, answer.words, answer.attention)
        figure.savefig(drawn := io.BytesIO(), format="png", dpi=80, bbox_inches="tight")
        plt.close(figure)
        parts.append(_image(drawn.getvalue(), figure.alt, "max-width:100%", "png"))
    return "".join(parts)


def _image(content: bytes, alt: str, style: str, kind: str = "jpeg") -> str:
    data = base64.b64encode(content).decode()
    return f'<img src="data:image/{kind};base64,{data}" alt="{html.escape(alt)}" style="{style}">'
