"""The panel of notebook 12 without a browser: what a reader does by hand is done by setting what the widgets hold."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from captioning import settings
from captioning.bundle import BundleError
from captioning.fetching import photo as web
from captioning.images import ImageError
from captioning.serving import own_photos, widgets
from tests.stub_captioner import Stub

MODIFIED = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    for name, size in (("a.jpg", (40, 30)), ("b.png", (20, 10))):
        Image.effect_noise(size, 9).convert("RGB").save(tmp_path / name)
    return tmp_path


@pytest.fixture
def panel():
    panel = widgets.panel({"first": Stub(says="{} <{}>"), "second": Stub(attends=False)}, candidates=2)
    panel.attention.value = False  # drawing takes most of the time
    return panel


def uploaded(*files):
    """What the browser sends for files: name -> bytes."""
    return tuple(
        {
            "name": name,
            "type": "image/jpeg",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": MODIFIED,
        }
        for name, content in files
    )


def test_uploads_are_captioned_under_their_names_which_are_text_alone(panel, folder):
    """A name that is a path of another photo, and one that would be HTML."""
    panel.attention.value = True
    names = str(folder / "b.png"), '<img src="x" onerror="alert(1)">.jpg'
    panel.upload.value = uploaded(*((name, (folder / "a.jpg").read_bytes()) for name in names))
    shown = panel.answers.value
    assert shown.count("<b>40 &lt;1&gt;</b>") == 2 and "<b>20" not in shown
    assert "<li>40 &lt;2&gt; (-3.0)</li>" in shown and "Surer of it than of 50 % of the validation captions." in shown
    assert "b.png" in shown and str(folder) not in shown and "onerror=&quot;" in shown
    assert "<img src=x" not in shown and shown.count("<img ") == 4  # two photos, and where the model looked in each
    assert panel.said.value == "<p>Captioned with first: 2 of 2.</p>"


def test_the_same_file_can_be_uploaded_again(panel, folder):
    files = uploaded(("a.jpg", (folder / "a.jpg").read_bytes()))
    for _ in range(2):
        panel.upload.value = files
        assert panel.upload.value == ()
    assert len(panel._bundles["first"].asked) == 2 and panel.answers.value.count("<b>") == 1


def test_a_bad_file_is_a_line_and_the_others_are_captioned(panel, folder):
    panel.upload.value = uploaded(("notes.jpg", b"no picture"), ("a.jpg", (folder / "a.jpg").read_bytes()))
    first, second = re.findall("<p>(.*?)</p>", panel.said.value)
    assert first == "Captioned with first: 1 of 2." and "a text" in second
    assert panel.answers.value.count("<b>") == 1


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("{folder}", "Captioned with first: 2 of 2."),
        ("  {folder}/a.jpg ", "Captioned with first: 1 of 1."),
        ("{folder}/gone.jpg", "gone.jpg cannot be read as a picture: "),
        ("{folder}/empty", "empty holds no photos"),
        ("{folder}/<b>.jpg", "&lt;b&gt;.jpg cannot be read"),
    ],
)
def test_a_path_or_folder(place, said, panel, folder):
    (folder / "empty").mkdir()
    panel.place.value = place.format(folder=folder)
    assert said in panel.said.value


def test_an_address_is_fetched_once_and_an_error_is_a_line(panel, folder, monkeypatch):
    asked = []

    def read(self, limit=-1):
        asked.append(self.address)
        if "gone" in self.address:
            raise ValueError(f"{self.address}: there is nothing")
        return (folder / "a.jpg").read_bytes()

    monkeypatch.setattr(web.WebPhoto, "read", read)
    panel.place.value = "https://example.org/pictures/a.jpg"
    panel.model.value = "second"
    assert panel.answers.value.count("<b>40 wide") == 1 and ">a.jpg<" in panel.answers.value.replace("<br>", ">")
    assert asked == ["https://example.org/pictures/a.jpg"]
    panel.place.value = "https://example.org/gone.jpg"
    assert "https://example.org/gone.jpg: there is nothing" in panel.said.value
    panel.model.value = "first"
    assert asked[1:] == ["https://example.org/gone.jpg"] and "there is nothing" in panel.said.value


def test_another_model_captions_the_same_photos(panel, folder):
    panel.attention.value = True
    panel.place.value = str(folder / "a.jpg")
    assert 'alt="Attention' in panel.answers.value
    panel.model.value = "second"
    assert panel.said.value == "<p>Captioned with second: 1 of 1.</p>"
    assert "This model has no attention to show." in panel.answers.value
    panel.attention.value = False
    assert "attention" not in panel.answers.value.lower()


def test_similar_train_pictures_decide_where_that_is_asked_for(panel, folder):
    panel.place.value = str(folder / "a.jpg")
    panel.consensus.value = True
    assert [asked[3:] for asked in panel._bundles["first"].asked] == [(), ("consensus",)]
    assert panel.answers.value.count("<b>") == 1


def test_a_model_that_cannot_caption_is_a_line(folder):
    for problem in (BundleError("other <weights>"), OSError("disk"), settings.SettingError("no such weights")):
        panel = widgets.panel({"broken": Stub(problem=problem)})
        panel.place.value = str(folder)
        assert (
            panel.answers.value == "" and str(problem).replace("<w", "&lt;w").replace("s>", "s&gt;") in panel.said.value
        )


def test_of_many_photos_the_first_are_shown(panel, folder, monkeypatch):
    monkeypatch.setattr(widgets, "MOST", 1)
    panel.place.value = str(folder)
    assert panel.answers.value.count("<b>") == 1 and "Shown: the first 1 of 2 photos." in panel.said.value


def test_a_photo_of_the_camera(panel, folder):
    panel.camera._handle_custom_msg({"kind": "photo"}, [memoryview((folder / "a.jpg").read_bytes())])
    assert "<b>40 &lt;1&gt;</b><br>photo of the camera" in panel.answers.value


def test_every_control_has_a_name(panel):
    assert all(
        widget.description for widget in (panel.model, panel.upload, panel.place, panel.attention, panel.consensus)
    )


def test_where_the_runner_executes_there_is_a_sentence_and_no_widget(monkeypatch):
    monkeypatch.setenv(settings.RESOLVED, "{}")
    assert widgets.panel({"first": Stub()}) == widgets.NO_HANDS
    assert widgets.NO_HANDS._repr_html_().startswith("<p>")


def test_photos_that_cannot_be_read_are_told_and_left_out(folder, capsys):
    (folder / "c.jpg").write_text("no picture")
    records = own_photos.records_of(folder)
    assert [(record.file.name, record.captions, record.truth) for record in records] == [
        (name, (), None) for name in ("a.jpg", "b.png", "c.jpg")
    ]
    several = own_photos.records_of([folder, folder / "a.jpg", "https://me:pw@example.org/x.jpg", str(folder / "none")])
    assert [str(record.file) for record in several[3:]] == [
        str(folder / "a.jpg"), "https://example.org/x.jpg", str(folder / "none"),
    ]  # fmt: skip
    read, answers = own_photos.answer(Stub(), records)
    assert read == records[:2] and [answer.caption for answer in answers] == ["40 wide, place 1", "20 wide, place 1"]
    assert capsys.readouterr().out.startswith(f"Left out: {folder / 'c.jpg'} ")
    with pytest.raises(ImageError, match="Of the photos given, 1, none can be read"):
        own_photos.answer(Stub(), records[2:])


CAMERA = """
const made = [];
class Element {
  constructor(tag) { this.tag = tag; this.style = {}; this.said = []; this.children = []; made.push(this); }
  append(...children) { this.children.push(...children); }
  setAttribute() {}
  set textContent(text) { this.said.push(text); }
  async play() {}
  getContext() { return { drawImage() {} }; }
  toBlob(give, kind) { give({ arrayBuffer: async () => new TextEncoder().encode(`${kind} ${this.width}`).buffer }); }
}
globalThis.document = { createElement: (tag) => new Element(tag) };
const stopped = [];
const stream = { getTracks: () => [{ stop: () => stopped.push(1) }] };
const media = (answer) => Object.defineProperty(globalThis, "navigator", {
  configurable: true, value: { mediaDevices: answer && { getUserMedia: answer } } });
const { default: { render } } = await import(process.argv[2]);
const sent = [];
const model = { send: (content, callbacks, buffers) => sent.push(new TextDecoder().decode(buffers[0])) };
const cleanup = render({ model, el: new Element("div") });
const [toggle, take] = made.filter((element) => element.tag === "button");
const said = made.find((element) => element.tag === "span").said;
media(undefined); await toggle.onclick();
for (const name of ["NotAllowedError", "NotFoundError", "OtherError"]) {
  media(async () => { throw Object.assign(new Error("why"), { name }); });
  await toggle.onclick();
}
const disabled = take.disabled;
media(async () => stream); await toggle.onclick();
made.find((element) => element.tag === "video").videoWidth = 64;
take.onclick(); await new Promise((done) => setTimeout(done));
cleanup();
console.log(JSON.stringify({ said: said.filter((text) => text && !text.startsWith("Waiting")), sent, disabled,
                             enabled: !take.disabled, stopped }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node to run the script of the camera")
def test_the_script_of_the_camera_tells_what_is_refused_and_sends_a_jpeg(tmp_path):
    script = Path(widgets.__file__).with_name("camera.js")
    shutil.copy(script, tmp_path / "camera.mjs")
    (tmp_path / "test.mjs").write_text(CAMERA)
    command = ["node", tmp_path / "test.mjs", tmp_path / "camera.mjs"]
    ran = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    refused = ("gives no camera to this page", "was not allowed", "No camera was found", "cannot be used: why")
    assert len(ran["said"]) == 4 and all(map(str.__contains__, ran["said"], refused))
    assert ran["sent"] == ["image/jpeg 64"] and ran["disabled"] and ran["stopped"] == [1]
