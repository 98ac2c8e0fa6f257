"""The CAPTIONING_* variables: which there are, and those that hold for a process whatever it works on."""

import os

PREFIX = "CAPTIONING_"
# REPOSITORY is for the first cell of a notebook that was opened alone.
VARIABLES = (
    "DATASET",
    "ROOT",
    "LIMIT",
    "WEIGHTS",
    "ENCODER",
    "QUICK",
    "HOME",
    "MIRROR",
    "DEVICES",
    "PRECISION",
    "REPOSITORY",
)
RESOLVED = PREFIX + "PROJECT"  # how the runner hands a whole project to its kernels; nobody else sets it
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}  # name -> Keras's policy
# Of the process, not of the project (as MIRROR, in `asking.mirror`) -> its values, the usual one first.
OF_PROCESS = {"DEVICES": ("one", "all"), "PRECISION": tuple(PRECISIONS)}


class SettingError(ValueError):
    """A setting has an unknown name or a value that cannot be used."""


def of_process(name: str) -> str:
    """Return a setting of `OF_PROCESS`: the DEVICES that models are trained on, or the PRECISION they compute in."""
    value = os.environ.get(PREFIX + name) or OF_PROCESS[name][0]
    if value not in OF_PROCESS[name]:
        raise SettingError(f"{PREFIX}{name}={value!r}: use one of {', '.join(OF_PROCESS[name])}.")
    return value


def variables() -> dict[str, str]:
    """Return what is set, by name without the prefix; a SettingError for an unknown name or a value without use."""
    given = {name.removeprefix(PREFIX): value for name, value in os.environ.items() if name.startswith(PREFIX)}
    unknown = sorted(set(given) - {*VARIABLES, RESOLVED.removeprefix(PREFIX)})
    if unknown:
        known = ", ".join(PREFIX + name for name in VARIABLES)
        raise SettingError(f"Unknown setting {PREFIX}{unknown[0]}; known: {known}.")
    for name in OF_PROCESS:
        of_process(name)
    return given
