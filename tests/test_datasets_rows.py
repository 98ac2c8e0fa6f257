"""Files of captions as people and programs write them: read rightly, or refused with every bad line named."""

import json

import pytest

from captioning.datasets import rows
from captioning.datasets.dataset import DatasetError
from captioning.datasets.texts import Findings
from captioning.files import DamagedError


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, content):
    """Return (image, text) of each caption, and the findings."""
    findings = Findings(list)
    return [row[1:3] for row in rows.read(write(path, content), findings)], findings


A, B = ("a.jpg", "A dog, fast."), ("b.jpg", "A cat.")


@pytest.mark.parametrize(
    "content",
    [
        'image,caption\na.jpg,"A dog, fast."\nb.jpg,A cat.\n',
        'image,caption\r\na.jpg,"A dog, fast."\r\n\r\nb.jpg,A cat.',
        'image,caption\ra.jpg,"A dog, fast."\rb.jpg,A cat.\r',
        '\ufeff"Image" , "CAPTION"\n"a.jpg", "A dog, fast."\nb.jpg, A cat.\n',
        "File Name;Text\na.jpg;A dog, fast.\nb.jpg;A cat.\n",
        "sep=;\nfilename;sentence\na.jpg;A dog, fast.\nb.jpg;A cat.\n",
        "image_name\tcaption\na.jpg\tA dog, fast.\nb.jpg\tA cat.\n",
        "image_name\tcaption\na.jpg\tA dog, fast.\nb.jpg\tA cat.\n".encode("utf-16"),
        "\timage\tcaption\n0\ta.jpg\tA dog, fast.\n1\tb.jpg\tA cat.\n",
        'image; caption\na.jpg; "A dog, fast."\nb.jpg; A cat.\n',
        'image,caption,,\na.jpg,"A dog, fast."\nb.jpg,A cat.,\n',
        'caption,image\n"A dog,\nfast.",a.jpg\nA cat.,b.jpg\n',
        "image_name| comment_number| comment\na.jpg| 0| A dog, fast.\nb.jpg| 4   A cat.\n",
        ',image,caption,\n0,a.jpg,"A dog, fast.",\n1,b.jpg,A cat.,,\n,,,\n',
        'caption,image,source\n"A dog, fast.",a.jpg,me\nA cat.,./b.jpg,"you, too"\n',
        b'\xef\xbb\xbfimage,caption\na.jpg,"A dog,\nfast."\nb.jpg,"A\r\ncat."\n',
    ],
)
def test_tables_that_are_read(content, tmp_path):
    found, findings = read(tmp_path / "captions.csv", content)
    assert [(image.removeprefix("./"), text) for image, text in found] == [A, B]
    assert not findings.keys() - {rows.UNUSED}


@pytest.mark.parametrize(
    "header, lines",
    [
        ("caption,image", ['"Stop sign,a.jpg', 'A cat",b.jpg']),
        (",image,caption", ['0,a.jpg,"Stop sign', '1,b.jpg,A cat"']),
        ("id,image,caption", ['0,a,"Stop sign', '1,b,A cat"', "2,b,A dog"]),
    ],
)
def test_a_quote_swallows_no_row_wherever_the_photo_is_named(header, lines, tmp_path):
    with pytest.raises(DatasetError, match=r"line 2: the quote that opens here swallows the row .*A cat"):
        read(tmp_path / "captions.csv", "\n".join([header, *lines]))


@pytest.mark.parametrize(
    "cell, texts",
    [
        ("""['A dog', "A man's hat"]""", ["A dog", "A man's hat"]),
        ('["A dog", "Caf\\u00e9"]', ["A dog", "Café"]),
        ("['A dog' 'A cat']", None),  # as numpy writes it: Python would read one text
        ("['A dog', ...", None),
        ("[STOP] it says", ["[STOP] it says"]),
    ],
)
def test_lists_in_a_cell_are_several_captions(cell, texts, tmp_path):
    quoted = cell.replace('"', '""')
    found, findings = read(tmp_path / "captions.csv", f'raw,filename,img_id\n"{quoted}",a.jpg,7\n')
    assert found == [("a.jpg", text) for text in texts or ()] and findings.pop(rows.UNUSED) == ["img_id"]
    assert list(findings) == ([] if texts else ["captions that are not text, left out"])


def test_columns_that_are_not_read_are_named(tmp_path):
    _, findings = read(tmp_path / "captions.csv", ",image,caption,set,caption_de\n0,a.jpg,A dog,train,Ein Hund\n")
    assert findings == {rows.UNUSED: ["caption_de", "set"]}
    _, findings = read(
        tmp_path / "captions.jsonl", '{"image": "a.jpg", "text": "A."}\n{"image": "b.jpg", "caption": "B."}'
    )
    assert not findings


@pytest.mark.parametrize("name", ["captions.json", "captions.jsonl"])
def test_two_values_of_one_name_are_refused(name, tmp_path):
    with pytest.raises(
        (DatasetError, DamagedError), match=r'two values are called "a\.jpg"; several captions .* a list'
    ):
        read(tmp_path / name, '{"b.jpg": "A cat.", "a.jpg": "A dog.", "a.jpg": "A cat."}')


@pytest.mark.parametrize(
    "lines, messages",
    [
        (["a.jpg,A dog runs, fast"], ["line 2: 3 instead of 2 columns, which a comma separates", "quotes"]),
        (["b.jpg"], ["line 2: 1 instead of 2 columns"]),
        (["b.jpg;A dog", "a.jpg,A cat"], ["line 2: 1 instead of 2 columns, which a comma separates"]),
        (["a.jpg,A cat", 'b.jpg,"Stop sign', "c.jpg,A dog"], ["line 3: a quote that is never closed"]),
        (
            ['b.jpg,"Stop sign', "c.jpg,A dog", 'd.jpg,"A cat, too"'],
            ["line 2: a quote that is never closed, or text af"],
        ),
        (['b.jpg,"Stop sign', "c.jpg,"], ["line 2: a quote that is never closed"]),
        (
            ['b.jpg,"Stop sign', 'c.jpg,"', "d.jpg,A dog"],
            ["line 2: the quote that opens here swallows the row 'c.jpg,"],
        ),
        (['b,"Stop sign', 'c,"', "c,A dog"], ["line 2: the quote that opens here swallows the row 'c,"]),
        (['"b.jpg,A dog', 'c.jpg,A cat",Both'], ["line 2: the quote that opens here swallows the row"]),
        (['"b', 'c d",Both'], ["line 2: a line break in the photo's name"]),
        (['b.jpg,"Stop" sign'], ["line 2: a quote that is never closed, or text after a closing quote"]),
        (['b.jpg,"' + "x" * 200_000], ["line 2: a quote that is never closed"]),
        (["b.jpg,A\0dog"], ["line 2: a NUL byte. Save it as UTF-8"]),
    ],
)
def test_lines_that_would_lose_something_are_refused(lines, messages, tmp_path):
    with pytest.raises(DatasetError) as error:
        read(tmp_path / "captions.csv", "\n".join(["image,caption", *lines]) + "\n")
    assert all(message in str(error.value) for message in [str(tmp_path / "captions.csv"), *messages])


def test_all_bad_lines_are_named_at_once_up_to_ten(tmp_path):
    good, bad = "a.jpg,A dog.\n", "a.jpg,A dog, a cat.\n"
    with pytest.raises(DatasetError) as error:
        read(tmp_path / "captions.csv", "image,caption\n" + good + bad + good + 'b.jpg,"open\n' + bad)
    text = str(error.value)
    assert "3 lines" in text and all(f"line {number}: " in text for number in (3, 5, 6)) and "line 4" not in text
    with pytest.raises(DatasetError) as error:
        read(tmp_path / "captions.csv", "image,caption\n" + 5000 * 'b.jpg,"open\n')
    assert str(error.value).count("line ") == 10 and "more of the same kind" in str(error.value)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "is empty: its first line is `image,caption`"),
        ("a.jpg,A dog.\n", r"line 1: the first line has to name the columns, .*'a\.jpg,A dog\.', with a comma"),
        ("image;words\na.jpg;A dog.\n", "Found 'image;words', with a semicolon as separator"),
        ("image:caption\na.jpg:A dog.\n", "with no separator that is known"),
        ("image,caption,caption\na,b,c\n", "two columns are called 'caption'"),
        ("image,caption\na.jpg,Ein Café\n".encode("latin-1"), r"line 2: not a text file in UTF-8 \(byte 0xe9\)\. Save"),
        ("image,caption\na.jpg,A dog\n".encode("utf-16-le"), "line 1: a NUL byte"),
    ],
)
def test_tables_that_are_refused(content, message, tmp_path):
    with pytest.raises(DatasetError, match=message):
        read(tmp_path / "captions.csv", content)


ROWS = [{"image": "a.jpg", "caption": "A dog, fast."}, {"image": "b.jpg", "caption": "A cat."}]


@pytest.mark.parametrize(
    "name, content",
    [
        ("captions.jsonl", "\ufeff" + "\n\n".join(map(json.dumps, ROWS)) + "\n"),
        ("captions.jsonl", "\r\n".join(map(json.dumps, ROWS))),
        ("captions.jsonl", json.dumps(ROWS, indent=1)),
        ("metadata.jsonl", '{"file_name": "a.jpg", "text": "A dog, fast."}\n{"file_name": "b.jpg", "text": "A cat."}'),
        ("captions.jsonl", '{"Filename": "a.jpg", "captions": ["A dog, fast."]}\n{"photo": "b.jpg", "text": "A cat."}'),
        ("captions.json", "\ufeff" + json.dumps(ROWS)),
        ("captions.JSON", json.dumps(ROWS).encode("utf-16")),
        ("captions.jsonl", "\n".join(map(json.dumps, ROWS)).encode("utf-16")),
        ("captions.txt", "a.jpg#0\tA dog, fast.\nb.jpg#0\tA cat.\n"),
        ("captions.json", json.dumps({"a.jpg": ["A dog, fast."], "b.jpg": "A cat."})),
        ("captions.json", json.dumps({"images": [
            {"filename": "a.jpg", "sentences": [{"raw": "A dog, fast.", "tokens": []}], "split": "train"},
            {"filename": "b.jpg", "sentences": [{"raw": "A cat.", "tokens": []}], "split": "restval"},
        ]})),
        ("Flickr8k.token.txt", "\ufeffa.jpg#0\tA dog, fast.\r\n\r\nb.jpg#4\tA cat.\r\n"),
    ],
)  # fmt: skip
def test_other_layouts_that_are_read(name, content, tmp_path):
    found, findings = read(tmp_path / name, content)
    assert found == [A, B] and not findings


@pytest.mark.parametrize(
    "written, split",
    [("Validation", "val"), ("dev", "val"), ("training", "train"), (" TEST", "test")],
)
def test_splits_go_by_their_usual_names(written, split, tmp_path):
    source = write(tmp_path / "captions.csv", f"image,caption,split\na.jpg,A cat.,{written}\n")
    (caption,) = rows.read(source, Findings(list))
    assert caption.split == split


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.json"])
@pytest.mark.parametrize(
    "row, reason, value",
    [
        ({"image": "a.jpg", "caption": None}, "captions that are not text, left out", "null"),
        ({"image": "a.jpg", "caption": 5}, "captions that are not text, left out", "5"),
        ({"image": "a.jpg", "caption": {"en": "x"}}, "captions that are not text, left out", '{"en": "x"}'),
        ({"image": "a.jpg", "caption": []}, "captions that are not text, left out", "[]"),
        ({"image": "a.jpg", "captions": [["x"]]}, "captions that are not text, left out", '["x"]'),
        ({"image": "a.jpg", "caption": "  "}, "empty captions", '"  "'),
        ({"image": "a.jpg"}, "rows without `image` and `caption`", 'found ["image"]'),
        ({"caption": "A dog."}, "rows without `image` and `caption`", 'found ["caption"]'),
        ({"image": None, "caption": "A dog."}, "rows whose photo has no name", "null"),
        ({"image": 7, "caption": "A dog."}, "rows whose photo has no name", "7"),
        ("text", "rows without `image` and `caption`", 'found "text"'),
        (None, "rows without `image` and `caption`", "found null"),
    ],
)
def test_values_that_are_not_text_are_listed_and_the_rest_is_read(row, reason, value, name, tmp_path):
    content = [ROWS[0], row, ROWS[1]]
    lines = "\n".join(map(json.dumps, content)) if name.endswith("l") else json.dumps(content)
    found, findings = read(tmp_path / name, lines)
    unit = "line" if name.endswith("l") else "item"
    assert found == [A, B] and findings == {reason: [f"{name}, {unit} 2: {value}"]}


def test_a_row_of_several_captions(tmp_path):
    found, _ = read(tmp_path / "captions.jsonl", '{"image": "a.jpg", "captions": ["One.", "Two."]}')
    assert found == [("a.jpg", "One."), ("a.jpg", "Two.")]
    found, _ = read(tmp_path / "captions.csv", "image,caption_1,caption_2\na.jpg,One.,Two.\n")
    assert found == [("a.jpg", "One."), ("a.jpg", "Two.")]


def test_half_of_a_character_can_be_written_down(tmp_path):
    found, findings = read(
        tmp_path / "captions.jsonl", r'{"image": "\ud83d.jpg", "text": "A \ud83d dog."}' + "\n" + r'{"\ud83d": 1}'
    )
    assert found == [(r"\ud83d.jpg", "A dog.")] and all(
        told.encode() for of_one in findings.values() for told in of_one
    )


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("captions.jsonl", '{"image": "a"}\n{"image": \n', r"captions\.jsonl, line 2: not JSON"),
        ("captions.jsonl", '{"a":' * 100_000 + "\n", "not JSON"),
        ("captions.jsonl", b'{"a": 1}\n{"a": "\xe9"}\n', r"line 2: not a text file in UTF-8"),
        ("captions.json", "{", r"captions\.json is damaged .* Save it as JSON in UTF-8"),
        ("a.token", "a.jpg#0\tA dog.\na dog\n\nb.jpg\tA cat", r"2 lines .*\n  line 2: not `photo\.jpg#0<tab>.*'a d"),
    ],
)  # fmt: skip
def test_other_layouts_that_are_refused(name, content, message, tmp_path):
    with pytest.raises((DatasetError, DamagedError), match=message):
        read(tmp_path / name, content)
