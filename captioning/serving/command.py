"""The command line: caption photos, list the trained models, score, pack, export, encode, data, run the notebooks."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from captioning import catalog, lines, settings
from captioning.serving import encoding, machine

if TYPE_CHECKING:
    from captioning.images import Picture

# What subcommands need beside the base installation -> the extra of pyproject.toml that has it.
_EXTRAS = {"notebooks": "notebooks", "data": "notebooks", "export": "export", "features": "ray"}
_CODES = """exit code: 0 all done; 1 some photos failed, the others are done; 2 wrong usage, settings or model;
130 interrupted"""
_CAPTION = """
Writes one line per photo, "FILE<TAB>CAPTION", as soon as it is known; what cannot be read is reported on stderr, and
the others are done. Folders give their photos, sorted by name; "-" is one photo on standard input.

  captioning caption beach/ dog.jpg https://example.org/cat.jpg
  captioning caption holiday/ --csv > captions.csv
  captioning caption site/ --alt          alt texts for the pictures of HTML and Markdown pages that have none
"""
BEST = "best"  # instead of a model's name
_FORMATS = {"page": "a static folder for any web server", "onnx": "three graphs", "saved-model": "for TF Serving"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code, see `captioning caption --help`; faults are one line on stderr."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.command:
        parser.print_help()
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may hold what a terminal's encoding lacks
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
    try:
        code = options.run(options)
        sys.stdout.flush()  # a full disk is told here, not by Python as it ends
        return code
    except BrokenPipeError:  # `| head` has seen enough
        _drop_output()
        return 141
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(options.command)
        way_out = f": pip install '.[{extra}]' in the repository, or captioning with that extra" if extra else ""
        told = f"{error.name} is not installed{way_out}."
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        told = lines.reason(error)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _drop_output()
    print(f"captioning: {told}", file=sys.stderr)
    return 2


def _drop_output() -> None:
    """Let what cannot be written go nowhere, else Python complains of it as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("captioning", description="Caption photos with the models of this series.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def add(name: str, run: Callable, purpose: str, **texts: str) -> Any:
        one = commands.add_parser(
            name, help=purpose, description=f"{purpose[:1].upper()}{purpose[1:]}. {texts.get('more', '')}",
            epilog=texts.get("epilog"), formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        one.set_defaults(run=run)
        return one.add_argument

    _add_caption(add("caption", _caption, "caption photos", more=_CAPTION, epilog=_CODES))
    option = add("models", _models, "list the trained models with their scores")
    option("paths", nargs="*", metavar="PATH", type=Path, help="folders and zips to list instead of checkpoints/")
    option("--delete", nargs="+", metavar="NAME", default=[], help="delete the experiments with these names first")
    option = add("score", _score, "score captions as the COCO challenge does, both files in its formats")
    option("references", metavar="REFERENCES.json")
    option("results", metavar="RESULTS.json")
    option = add("pack", _pack, "write a model into one file that runs elsewhere")
    option("bundle", metavar="BUNDLE", help="name or folder of a model")
    option("target", metavar="model.zip", type=Path)
    option("--half", action="store_true", help="weights in float16: half the size")
    option("--encoder", action="store_true", help="with the encoder's weights: runs where there is no network")
    option("--consensus", action="store_true", help="with what consensus reranking looks at: train features, captions")
    option = add("export", _export, "write a model for a web page or a server")
    option("bundle", metavar="BUNDLE", help="name, folder, zip or address of a model; best: the best on validation")
    option("out", metavar="OUT", type=Path, help="the folder to write")
    formats = "; ".join(f"{name}: {purpose}" for name, purpose in _FORMATS.items())
    option("--format", choices=_FORMATS, default="page", help=f"{formats} (default: page)")
    option("--precision", help="of the weights, for page and onnx: float32 or int16, half as large")
    option("--allow-private", action="store_true", help="also fetch the model from this machine and its network")
    option("--serve", nargs="?", const=8000, type=int, metavar="PORT", help="then serve the page on this machine")
    encoding.add_options(add("features", encoding.run, "encode the pictures ahead", epilog=encoding.EPILOG))
    machine.add_options(add("data", machine.fetch, "fetch or draw the chosen dataset: notebook 01 alone"), cleans=False)
    machine.add_options(add("clean-data", machine.clean, "list the data with its sizes, and delete it"), cleans=True)
    add("devices", machine.devices, "say what TensorFlow computes on, and try it")
    option = add("notebooks", _notebooks, "run the notebooks and write their pages")
    option("names", nargs="*", metavar="NAME", help="such as 04; default: all")
    return parser


def _add_caption(option: Any) -> None:
    """Add the options of `captioning caption`."""
    option("photos", nargs="+", metavar="PHOTO", help="a file, a folder, an http or https address, or -")
    option("--model", metavar="MODEL", help="name, folder, zip or address; default: the best one on validation")
    option("--beam", type=encoding.count, metavar="WIDTH", help="beam width, 1: greedy; default: chosen on validation")
    option("--consensus", action="store_true", help="let captions of similar train pictures decide which is best")
    option("--n", type=encoding.count, default=1, metavar="N", help="captions per photo, the best first (default: 1)")
    form = option.__self__.add_mutually_exclusive_group().add_argument
    for name, what in {"json": "one JSON object per line (JSON Lines)", "csv": "CSV with a header"}.items():
        form(f"--{name}", dest="form", action="store_const", const=name, default="text", help=f"{what}, in UTF-8")
    option("--attention", type=Path, metavar="OUT", help="also draw where the model looked: a PNG per photo in OUT")
    option("--alt", action="store_true", help="pages: alt texts for pictures without one, as FILE -> ALT TEXT")
    option("--allow-private", action="store_true", help="also fetch photos and model from this machine and its network")


def find_model(name: str | None) -> Path | str:
    """Return the folder, zip or address of a model.

    Args:
        name: a folder, zip or address; or the name of an experiment, first of the active dataset. None or "best": the
            best one of the active dataset, or of the only dataset that has any.

    Raises:
        FileNotFoundError: nothing is trained yet.
        ValueError: there is none of this name or path, or it cannot be told which one is meant.
    """
    from captioning.fetching.photo import ADDRESS

    name = None if name == BEST else name
    if name and ADDRESS.match(name):
        return name
    if name and (path := Path(name).expanduser()).exists():
        return path
    if name and (path.suffix == ".zip" or len(path.parts) > 2):  # a path, not "scenes/gru-vgg16"
        raise ValueError(f"{name}: there is no such folder or file.")
    home = settings.from_environment().home
    active = None
    with contextlib.suppress(FileNotFoundError):  # notebook 01 has not been run
        active = settings.active().checkpoints
    if name:
        return catalog.named(home, name, active)
    there = catalog.datasets(home)
    if not there:
        raise FileNotFoundError(f"{home / 'checkpoints'} holds no trained model: run the notebooks, or give --model.")
    if active not in there and len(there) > 1:
        names = ", ".join(folder.name for folder in there)
        raise ValueError(f"There are models of several datasets ({names}): choose one with --model.")
    from captioning import experiments

    return experiments.best(active if active in there else there[0])


def _load(name: str | None, allow_private: bool) -> Any:
    from captioning import bundle
    from captioning.fetching.photo import WebPhoto

    source = find_model(name)
    told = lines.short_path(source) if isinstance(source, Path) else WebPhoto(source).name  # without the password
    print(f"Model: {told}", file=sys.stderr)
    return bundle.load(source, allow_private=allow_private)


def _caption(options: argparse.Namespace) -> int:
    from captioning.serving.own_photos import Photo, given
    from captioning.serving.reporting import Report

    names = [
        Photo("standard input", sys.stdin.buffer if sys.stdin else io.BytesIO()) if name == "-" else name
        for name in options.photos
    ]
    out, summary = sys.stdout, ""
    with contextlib.redirect_stdout(sys.stderr):  # what loading prints is no caption
        if options.alt:
            from captioning.serving import alt_texts

            photos, summary = alt_texts.find(names, options.allow_private)
        else:
            photos = list(given(names, options.allow_private))
        report = Report(options.form, options.n, out, " -> " if options.alt else "\t", bool(options.attention))
        for photo, answer, drawn in _answers(photos, options, out):
            told = alt_texts.as_alt_texts(answer) if options.alt and not isinstance(answer, Exception) else answer
            report.add(str(photo), told, drawn)
        if summary:
            print(summary, file=sys.stderr)
    return 1 if report.failed else 0


def _answers(photos: Sequence[Picture], options: argparse.Namespace, out: TextIO) -> Iterator[tuple]:
    """Yield each photo with its answer or what failed, and the picture of the attention or None."""
    from captioning.serving.own_photos import Photo
    from captioning.serving.reporting import progress

    problems = [photo.problem if isinstance(photo, Photo) else None for photo in photos]
    if all(problems):
        yield from ((photo, problem, None) for photo, problem in zip(photos, problems, strict=True))
        return
    bundle, looks = _load(options.model, options.allow_private), None
    if options.attention:
        from captioning.serving.looks import Looks

        looks = Looks(bundle, options.attention)
    found = bundle.captions(photos, options.n, options.beam, bool(looks), options.consensus, keep_errors=True)
    for photo, answer in zip(progress(photos, out), found, strict=True):
        drawn, failed = None, None
        if looks and not isinstance(answer, Exception):
            try:
                drawn = str(looks.draw(str(photo), photo, answer))
            except (OSError, ValueError) as error:
                failed = error
        yield photo, failed or answer, drawn
        if isinstance(photo, Photo):
            photo.content = None  # there may be thousands


def _models(options: argparse.Namespace) -> int:
    home = settings.from_environment().home
    for folder in {catalog.named(home, name): None for name in options.delete}:
        catalog.delete(folder.parent, [folder.name])
    if options.paths:
        print(catalog.table([folder for path in options.paths for folder in catalog.folders(path, True) or [path]]))
        return 0
    for checkpoints in catalog.datasets(home):
        print(f"{checkpoints.name}\n{catalog.table(checkpoints)}\n")
    if not catalog.datasets(home):
        print(f"{home / 'checkpoints'} holds no trained model: run the notebooks, which make them.", file=sys.stderr)
    return 0


def _score(options: argparse.Namespace) -> int:
    from captioning.metrics.__main__ import main as score

    return score([options.references, options.results])


def _pack(options: argparse.Namespace) -> int:
    from captioning.serving.pack import pack

    # It says what it has written.
    pack(find_model(options.bundle), options.target, options.half, options.encoder, options.consensus)
    return 0


def _export(options: argparse.Namespace) -> int:
    if options.format != "page" and options.serve:
        raise ValueError("--serve is for --format page.")
    if options.format == "saved-model" and options.precision:
        raise ValueError("--precision is for --format page and onnx; a SavedModel is in float32.")
    bundle = _load(options.bundle, options.allow_private)
    if options.format == "page":
        from captioning.serving import site

        site.write(bundle, options.out, options.precision)  # says what it has written
    elif options.format == "onnx":
        from captioning.serving import onnx_files

        onnx_files.write(bundle, options.out, options.precision or "float32")
        print(f"{options.out}: encoder.onnx, start.onnx, step.onnx and model.json")
    else:
        from captioning.serving import saved_model

        print(saved_model.write(bundle, options.out))
    if options.serve:
        site.serve(options.out, options.serve)
    return 0


def _notebooks(options: argparse.Namespace) -> int:
    from captioning import notebooks

    return notebooks.main(options.names)
