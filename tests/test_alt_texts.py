"""Pictures without alt text in HTML and Markdown pages, and captions as alt texts."""

from pathlib import Path

import pytest
from PIL import Image

from captioning.bundle import Answer, Candidate
from captioning.fetching.photo import WebPhoto
from captioning.files import DamagedError
from captioning.serving.alt_texts import Page, alt_text, as_alt_texts, find, where
from captioning.serving.command import main


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        ("a dog runs", "A dog runs."),
        ("a dog in the U.S.", "A dog in the U.S."),
        ("what a dog!", "What a dog!"),
        ("a picture of a dog", "A dog."),
        ("an image of two photos of a dog", "Two photos of a dog."),
        ("a man holding a picture of", "A man holding."),
        ("a man holding a picture of a dog", "A man holding a picture of a dog."),
        ("a photo of", "A photo of."),
        ("éclairs on a PLATE", "Éclairs on a PLATE."),
        ("", ""),
    ],
)
def test_a_caption_becomes_a_sentence(caption, text):
    assert alt_text(caption) == text


def test_every_candidate_becomes_one_and_the_numbers_stay():
    answer = Answer((Candidate("a dog", -1.0, -0.5), Candidate("a photo of a cat", -2.0, -1.0)), 0.25)
    expected = (Candidate("A dog.", -1.0, -0.5), Candidate("A cat.", -2.0, -1.0))
    assert as_alt_texts(answer) == Answer(expected, 0.25)


# What a page holds -> the pictures without alt text, and how many have one.
HTML = {
    '<img src="a.jpg">': (["a.jpg"], 0),
    "<IMG SRC=a.jpg><img src='b.jpg'/>": (["a.jpg", "b.jpg"], 0),
    '<img src="a.jpg" alt="a dog"><img src="line.png" alt=""><img src="line.png" alt>': ([], 3),
    '<img src="a.jpg" title="a dog" data-alt="x">': (["a.jpg"], 0),
    '<img src="a&amp;b.jpg">': (["a&b.jpg"], 0),
    '<picture><source srcset="a.webp"><img src="a.jpg"></picture>': (["a.jpg"], 0),
    '<img srcset="small.jpg 1x, large.jpg 2x"><img srcset=" one.jpg, two.jpg 2x">': (["small.jpg", "one.jpg"], 0),
    "<img><img src=''><img alt=>": ([], 1),
    '<!-- <img src="a.jpg"> --><script>"<img src=a.jpg>"</script><style>/*<img src=a.jpg>*/</style>': ([], 0),
    '<img src="a.jpg" src="b.jpg">': (["a.jpg"], 0),
    '<p title="<img src=a.jpg>">&lt;img src="b.jpg"&gt;</p><div><img src="c.jpg"': ([], 0),
    "no picture": ([], 0),
}
MARKDOWN = {
    "![](a.jpg) ![ ](b.jpg)": (["a.jpg", "b.jpg"], 0),
    '![a dog](a.jpg) ![](b.jpg "title")': (["b.jpg"], 1),
    "![](<a b.jpg>) ![](c%20d.jpg)": (["a%20b.jpg", "c%20d.jpg"], 0),
    "![](a(1).jpg) ![](a&b.jpg)": (["a(1).jpg", "a&b.jpg"], 0),
    "![][one] ![a dog][one] ![one]\n\n[one]: a.jpg": (["a.jpg"], 2),
    "```\n![](a.jpg)\n```\n\n    ![](b.jpg)\n\n`![](c.jpg)` \\![](d.jpg)": ([], 0),
    "~~~html\n<img src=a.jpg>\n~~~": ([], 0),
    'In a line <img src="a.jpg">\n\n<div>\n<img src="b.jpg" alt="">\n</div>': (["a.jpg"], 1),
    "- ![](a.jpg)\n  > [![](b.jpg)](page.html)\n\n# ![](c.jpg)": (["a.jpg", "b.jpg", "c.jpg"], 0),
    "| a |\n|---|\n| ![](a.jpg) |": (["a.jpg"], 0),
    "<!-- ![](a.jpg) --> [link](b.jpg)": ([], 0),
    "---\ntitle: x\n---\n\n![](a.jpg)": (["a.jpg"], 0),
}
CASES = [(f"page{ending}", text, *found) for ending, cases in ((".html", HTML), (".md", MARKDOWN))
         for text, found in cases.items()]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "without", "described"), CASES)
def test_pictures_without_alt_text_are_found(name, text, without, described, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    page = Page(tmp_path / name)
    assert (page.without, page.described) == (without, described)


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("a.jpg", "site/blog/a.jpg"),
        ("../img/a%20b.jpg?v=2#top", "site/img/a b.jpg"),
        ("/img/caf%C3%A9.jpg", "site/img/café.jpg"),
        ("./a.jpg ", "site/blog/a.jpg"),
        ("https://example.org/a.jpg?x=1", "https://example.org/a.jpg?x=1"),
        ("HTTP://example.org/a.jpg", "HTTP://example.org/a.jpg"),
        ("//example.org/a.jpg", "https://example.org/a.jpg"),
        *(
            (address, None)
            for address in ("data:image/png;base64,AAAA", "file:///etc/x.jpg", "cid:1", "#", "?x", "//[")
        ),
    ],
)
def test_an_address_counts_from_its_page_or_from_the_folder(address, file):
    found = where(Path("site/blog/page.html"), address, Path("site"))
    assert found == (file if file is None or "//" in file else Path(file))


def test_pages_are_read_as_they_declare_and_without_their_front_matter(tmp_path):
    old, new = tmp_path / "old.html", tmp_path / "new.md"
    old.write_bytes('<meta charset="iso-8859-1">Grüße <img src="Größe.jpg">'.encode("latin-1"))
    assert Page(old).without == ["Größe.jpg"]
    for wrong in ("", '<meta charset="utf-8">', '<meta charset="no-such">', '<meta charset="hex">'):
        old.write_bytes(f"{wrong}Grüße".encode("latin-1"))
        with pytest.raises(DamagedError, match=r"old\.html is not in UTF-8 .* Save it as UTF-8"):
            Page(old)
    new.write_text("---\ntitle: '![](title.jpg)'\n---\n![](dog.jpg)\n\n---\n![](cat.jpg)\n\n---\n")
    assert Page(new).without == ["dog.jpg", "cat.jpg"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A small site, whose folder is in the current one."""
    monkeypatch.chdir(tmp_path)
    for width, name in enumerate(("site/img/dog.png", "site/img/a b.png", "photos/x.png"), 3):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, 2)).save(name)
    pages = {
        "index.html": '<img src="img/dog.png"><img src="img/dog.png" alt="a dog"><img src="/img/a%20b.png">',
        "blog/post.md": "![](../img/dog.png) ![](gone.png) ![](https://example.org/cat.png) ![](data:image/png,x)",
        ".git/x.html": '<img src="hidden.png">',
        "node_modules/y/README.md": "![](other.png)",
        "latin.htm": b"\xe9 <img src=img/dog.png>",
    }
    for name, text in pages.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


def test_each_picture_of_a_site_is_found_once_and_what_is_missing_is_named(site):
    photos, summary = find(["site", "photos"])
    assert [str(photo) for photo in photos if not getattr(photo, "problem", None)] == [
        "site/img/dog.png", "https://example.org/cat.png", "site/img/a b.png", "photos/x.png",
    ]  # fmt: skip
    failed = [str(photo) for photo in photos if getattr(photo, "problem", None)]
    assert failed == ["site/blog/post.md: gone.png", "site/latin.htm"]
    assert summary == "2 pages, pictures: 6 without alt text, 1 with."
    sources = [getattr(photo, "source", None) for photo in find(["site"], allow_private=True)[0]]
    assert WebPhoto("https://example.org/cat.png", allow_private=True) in sources


def test_a_page_of_its_own_counts_from_its_folder(site):
    (photo, *_), _ = find(["site/index.html"])
    assert photo == Path("site/img/dog.png")


@pytest.mark.usefixtures("stub")
def test_the_command_prints_file_and_alt_text(site, capsys, monkeypatch):
    monkeypatch.setattr(WebPhoto, "read", lambda self, limit=-1: Path("photos/x.png").read_bytes())
    assert main(["caption", "--alt", "site", "photos"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "site/img/dog.png -> 3 wide, place 1.",
        "https://example.org/cat.png -> 5 wide, place 1.",
        "site/img/a b.png -> 4 wide, place 1.",
        "photos/x.png -> 5 wide, place 1.",
    ]
    assert "captioning: site/blog/post.md: gone.png: site/blog/gone.png is missing" in err.splitlines()
    assert "captioning: site/latin.htm is not in UTF-8" in err
    assert err.splitlines()[-1] == "2 pages, pictures: 6 without alt text, 1 with."
    assert main(["caption", "--alt", "photos"]) == 0 and "pages" not in capsys.readouterr().err
