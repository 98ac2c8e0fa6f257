"""Decoder classes of one's own are built, found and kept apart from those of the package."""

import sys
import types
from dataclasses import asdict, dataclass

import keras
import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import models
from captioning.models.gru import GRUConfig, GRUDecoder
from tests.small_models import CONFIGS, SIZES, build, features, tokens


@dataclass(frozen=True)
class WiderConfig(GRUConfig):
    extra: int = 3


class WiderDecoder(GRUDecoder):
    """As a reader would define one in a cell."""

    config_class = WiderConfig

    def __init__(self, config):
        super().__init__(config)
        self.more = keras.layers.Dense(config.extra, name="more")
        self.back = keras.layers.Dense(config.vocabulary, name="back")

    def predict_words(self, hidden, training=False):
        return self.back(self.more(super().predict_words(hidden, training)))


class TestClassesOfOnesOwn:
    def test_a_subclass_is_built_found_and_its_weights_fit_it_alone(self, tmp_path, monkeypatch):
        model = models.build(WiderDecoder, WiderConfig(**SIZES), seed=3)
        assert type(model) is WiderDecoder and model.kind == "gru" and model.averaged
        main = types.SimpleNamespace(WiderDecoder=WiderDecoder)
        monkeypatch.setitem(sys.modules, "__main__", main)
        found = models.find_class("WiderDecoder", "__main__")
        config = models.config_from(found, {**SIZES, "dropout": 0.5, "extra": 3})
        model.save_weights(tmp_path / "model.weights.h5")
        loaded = models.build(found, config, seed=4)
        models.load_weights(loaded, tmp_path / "model.weights.h5")
        inputs = {"features": features(), "tokens": tokens()}
        np.testing.assert_array_equal(loaded(inputs), model(inputs))
        with pytest.raises(ValueError, match=r"holds 21 arrays, a GRUDecoder has 17"):
            models.load_weights(build(CONFIGS[0]), tmp_path / "model.weights.h5")
        build(CONFIGS[0]).save_weights(tmp_path / "base.weights.h5")
        with pytest.raises(ValueError, match=r"holds 17 arrays, a WiderDecoder has 21"):
            models.load_weights(loaded, tmp_path / "base.weights.h5")

    def test_the_class_comes_first_and_the_config_is_its_own(self):
        with pytest.raises(TypeError, match=r"takes the class first.*GRUConfig"):
            models.build(CONFIGS[0], 3)
        with pytest.raises(TypeError, match="GRUDecoder takes a GRUConfig, not a MergeConfig"):
            models.build(GRUDecoder, CONFIGS[2])
        with pytest.raises(TypeError, match="config_class = WiderConfig"):
            models.build(GRUDecoder, WiderConfig(**SIZES))

    def test_unknown_and_missing_fields_are_named(self):
        fields = asdict(CONFIGS[0])
        assert models.config_from(GRUDecoder, fields) == CONFIGS[0]
        with pytest.raises(ValueError, match=r"GRUConfig has the fields .*; unknown or missing: layers, units"):
            models.config_from(GRUDecoder, {n: v for n, v in fields.items() if n != "units"} | {"layers": 3})

    def test_classes_of_the_package_are_found_by_name(self):
        for model in models.CLASSES.values():
            assert models.find_class(model.__qualname__, model.__module__) is model
        kinds = {name: model.kind for name, model in models.CLASSES.items()}
        assert sorted(kinds.values()) == ["bahdanau", "bilstm", "gru", "merge", "transformer"]
        with pytest.raises(ValueError, match=r"no decoder 'Transformer'; known: GRUDecoder"):
            models.find_class("Transformer", "captioning.models.transformer")

    @pytest.mark.parametrize(
        ("name", "module"),
        [
            ("Missing", "__main__"),
            ("Path", "pathlib"),
            ("run", "subprocess"),
            ("CONFIGS", __name__),
            ("DecoderConfig", "captioning.models.decoder"),
            ("it.<locals>.Hidden", "__main__"),
        ],
    )
    def test_nothing_but_a_decoder_is_found(self, name, module):
        with pytest.raises(ValueError, match=name):
            models.find_class(name, module)

    def test_nothing_is_imported_because_a_file_names_it(self, tmp_path, monkeypatch):
        (tmp_path / "trap.py").write_text("raise SystemExit")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ValueError, match="run the cell that defines it"):
            models.find_class("Trap", "trap")
        assert "trap" not in sys.modules
