"""The page in a real browser: the captions of Python, by mouse, keyboard and camera."""

import base64
import json

import numpy as np
import pytest
from PIL import Image
from tiny_encoder import SIZE

from captioning import decoding
from captioning.images import load_pixels
from tests.browser import BYTES, add, until
from tests.pictures import png, saved


def test_captions_of_all_kinds_of_pictures_are_those_of_python(captioner, photos, page):
    cards, good = add(page, photos), [photo for photo in photos if photo.name != "bad.jpg"]
    bad = [photo.name for photo in photos].index("bad.jpg")
    assert cards.nth(bad).inner_text() == "bad.jpg: no picture that this browser can open, or a damaged one."
    for beam in (3, 1):
        expected = list(captioner.captions(good, n=beam, beam=beam, attention=True))
        assert len({answer.caption for answer in expected}) >= 3, "a test that any caption would pass"
        for photo, answer in zip(good, expected, strict=True):
            card = cards.nth(photos.index(photo))
            assert card.locator(".name").inner_text() == photo.name
            assert card.locator("img").get_attribute("alt") == card.locator(".caption").inner_text() == answer.caption
            rows = [row.all_text_contents() for row in map(lambda r: r.locator("td"), card.locator("tbody tr").all())]
            assert [caption for caption, _ in rows] == [candidate.caption for candidate in answer.candidates]
            for (_, number), candidate in zip(rows, answer.candidates, strict=True):
                assert float(number) == pytest.approx(candidate.log_probability, rel=0.01)
            assert f"More sure than of {100 * answer.below:.0f} %" in card.locator(".sure").inner_text()
            assert card.locator(".words button").all_text_contents() == list(answer.words)
        if beam == 3:
            page.select_option("#search", index=1)
            until(page, "!document.querySelector('.card tbody tr + tr')")
            until(page, "[...document.querySelectorAll('.card')].every((card) => !card.querySelector('tr + tr td'))")


def test_the_search_ranks_as_that_of_python(page):
    """On a table of what follows each word after how many: captions of all lengths, so that the length penalty decides.

    The state, whole numbers as a Transformer has, tells what was said before; words may be repeated, or some alone.
    """
    label = """(scores) => {
        const kept = model.scores;
        model.scores = scores;
        const [{ label }] = searches({ beam_width: 3, length_penalty: 0.7 });
        model.scores = kept;
        return label;
    }"""
    assert [page.evaluate(label, scores) for scores in ({}, None)] == ["beam of 3 (best on validation)", "beam of 3"]
    table = np.random.default_rng(0).normal(0, 2, (5, 9, 9)).astype(np.float32)

    def step(tokens, state):
        state = (3 * state + tokens) % 5
        return decoding.Step(table[state, tokens], state)

    script = """async ([table, width, penalty, free]) => {
        const kept = { ...model }, real = run, { decoding } = model;
        Object.assign(model, { max_length: 6, decoding: { ...decoding, may_repeat: free } });
        run = async (graph, [tokens, state]) => {
            if (graph === "start") return [new ort.Tensor("int32", [0], [1])];
            const after = tokens.data.map((token, row) => (3 * state.data[row] + token) % 5);
            const rows = [...tokens.data].flatMap((token, row) => table[after[row]][token]);
            const size = tokens.data.length;
            return [new ort.Tensor("float32", rows, [size, 9]), new ort.Tensor("int32", after, [size])];
        };
        const found = (await searched(null, width, penalty)).map(({ words, sum }) => [words, sum]);
        run = real;
        Object.assign(model, kept);
        return found;
    }"""
    for width, penalty, free in (
        (1, 0.0, None),
        (3, 0.0, None),
        (3, 0.7, [5]),
        (5, 1.5, None),
        (1, 0.0, []),
        (5, 1.0, []),
    ):
        once = None if free is None else ~np.isin(np.arange(9), [*range(4), *free])
        state = np.zeros(1, np.int32)
        (expected,) = decoding.beam_search(step, state, width, 6, penalty, once=once, return_all=True)
        found = page.evaluate(script, [table.tolist(), width, penalty, free])
        assert [words for words, _ in found] == [caption.tokens for caption in expected]
        np.testing.assert_allclose([total for _, total in found], [c.log_probability for c in expected], rtol=1e-5)


def test_pixels_are_resized_as_by_pillow(page):
    random = np.random.default_rng(0)
    for width, height in [(1, 1), (SIZE, SIZE), (33, 50), (50, 33), (40, 50), (301, 207), (150, 999), (2000, 3)]:
        content = saved(Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)), "PNG")
        assert (pixels_of(page, content) == load_pixels(content, SIZE)).all(), (width, height)


def pixels_of(page, content):
    script = f"async (text) => JSON.stringify([...await pixelsOf(new File([{BYTES}], 'x'))])"
    return np.array(json.loads(page.evaluate(script, base64.b64encode(content).decode()))).reshape(SIZE, SIZE, 3)


def test_a_word_shows_where_the_model_looked_and_everything_works_by_keyboard(captioner, photos, page):
    add(page, photos[:1])
    answer = captioner.caption(photos[0], attention=True)
    page.focus("#search")
    for _ in range(3):  # past "Clear all", to the second word
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    word = page.locator(".words button").nth(1)
    assert word.get_attribute("aria-pressed") == "true"
    page.wait_for_selector(".picture canvas", state="visible")
    read = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    shade = np.array(page.locator(".picture canvas").evaluate(read)).reshape(4, 4, 4)[..., 3]
    expected = 215 * (1 - answer.attention[1] / answer.attention[1].max()).reshape(4, 4)
    np.testing.assert_allclose(shade, expected, atol=2)
    page.keyboard.press("Space")
    assert word.get_attribute("aria-pressed") == "false" and page.locator(".picture canvas").is_hidden()
    for button, text in ((".copy", answer.caption), (".copy-html", f'<img src="wide.png" alt="{answer.caption}">')):
        page.focus(button)
        page.keyboard.press("Enter")
        until(page, "status.textContent.startsWith('Copied')")
        assert page.evaluate("navigator.clipboard.readText()") == text
        page.evaluate("document.querySelector('#status').textContent = ''")
    page.click("#clear")
    assert page.locator("#results").is_hidden() and page.locator("#cards > li").count() == 0


def test_pasted_and_dropped_pictures_are_captioned(captioner, photos, page):
    for event, field, target in (("paste", "clipboardData", "document"), ("drop", "dataTransfer", "document.body")):
        page.evaluate(
            f"""(text) => {{
                const data = new DataTransfer();
                data.items.add(new File([{BYTES}], "{event}.png"));
                {target}.dispatchEvent(new {"ClipboardEvent" if event == "paste" else "DragEvent"}(
                    "{event}", {{ {field}: data, bubbles: true, cancelable: true }}));
            }}""",
            base64.b64encode(photos[0].read_bytes()).decode(),
        )
        until(page, f"status.textContent.startsWith('{event}.png:')")
    assert page.locator(".card .caption").all_text_contents() == [captioner.caption(photos[0]).caption] * 2


def test_what_is_too_large_is_refused_before_it_is_decoded(page, tmp_path):
    (tmp_path / "wide.png").write_bytes(png(50_000, 50_000))
    (tmp_path / "empty.png").touch()
    with (tmp_path / "long.png").open("wb") as file:
        file.truncate(51_000_000)
    page.evaluate("() => { real = createImageBitmap; createImageBitmap = () => { throw new Error('decoded'); }; }")
    add(page, sorted(tmp_path.iterdir()))
    assert page.locator("#cards > li").all_text_contents() == [
        "empty.png: an empty file.",
        "long.png: 51 MB are too much: save it smaller.",
        "wide.png: 50000 x 50000 pixels are too many: save it smaller.",
    ]
    page.evaluate("""async () => {
        const folder = new File(["x"], "holidays"); // as browsers hand over a folder that is dropped
        folder.slice = () => ({ arrayBuffer: async () => { throw new DOMException("", "NotFoundError"); } });
        await add([folder]);
        createImageBitmap = real;
    }""")
    assert (
        page.inner_text("#status") == "holidays: no file that can be read; of a folder, drop the photos that are in it."
    )


def test_photos_are_cleared_and_the_search_is_changed_while_others_are_captioned(captioner, photos, page):
    good = [photos[0], photos[1], photos[3]]
    page.evaluate("() => { counted = 0; real = searched; searched = (...a) => (counted++, real(...a)); }")
    page.set_input_files("#files", good)
    page.click("#clear")
    page.evaluate("turn")
    assert (page.locator("#cards > li").count(), page.evaluate("cards.length")) == (0, 0)
    assert page.inner_text("#status") == "Cleared."
    cards = add(page, [*good, photos[4]])
    assert page.inner_text("#status") == "1 of 4 could not be captioned: see below."
    page.evaluate("""() => {
        counted = 0;
        for (const i of [1, 0, 1]) {
            document.querySelector("#search").selectedIndex = i;
            document.querySelector("#search").dispatchEvent(new Event("change"));
        }
    }""")
    page.evaluate("turn")
    expected = [answer.caption for answer in captioner.captions(good, beam=1)]
    assert cards.locator(".caption").all_text_contents() == expected
    assert page.evaluate("(searched = real, counted)") == 3, "a photo is captioned again for each change"


def test_live_captions_come_from_the_camera(folder, opened):
    page = opened(folder)
    page.evaluate("""() => { // the first frame comes late, and browsers refuse to take one before
        let looks = 0;
        const video = document.querySelector("#video"), real = createImageBitmap;
        const { get } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "readyState");
        Object.defineProperty(video, "readyState", { get: () => (looks++ < 5 ? 1 : get.call(video)) });
        createImageBitmap = (source, ...options) => source === video && looks < 5
            ? Promise.reject(new DOMException("no frame", "InvalidStateError")) : real(source, ...options);
    }""")
    page.click("#camera-button")
    until(page, "document.querySelector('#live').textContent !== '…'")
    until(page, "document.querySelector('#spoken').textContent !== ''")
    assert page.locator("#speed").inner_text().endswith("captions a second")
    page.click("#keep")
    until(page, "status.textContent.startsWith('camera.png:')")
    page.click("#camera-button")
    assert page.locator("#camera").is_hidden()
    page.evaluate("""() => {
        window.streams = [document.querySelector("#video").srcObject];
        const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices);
        devices.getUserMedia = async (wish) => (streams.push(await real(wish)), streams.at(-1));
        for (let i = 0; i < 2; i++) document.querySelector("#camera-button").click(); // twice, before it has started
    }""")
    states = "JSON.stringify(window.streams.map((stream) => stream.getTracks()[0].readyState))"
    until(page, f'{states} === \'["ended","ended","live"]\'')
    page.evaluate("() => camera.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert page.inner_text("#status").startswith("The camera has stopped: it was unplugged")
    assert page.locator("#camera").is_hidden() and page.evaluate(states) == '["ended","ended","ended"]'
    refused = "async () => { throw new DOMException('', 'NotAllowedError'); }"
    page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {refused}; }}")
    page.click("#camera-button")
    until(page, "status.textContent.startsWith('The camera was not allowed')")
