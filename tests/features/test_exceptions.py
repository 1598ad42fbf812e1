import pytest

from features.exceptions import (
    BellwetherError,
    DependencyError,
    GateRefusedError,
    InputError,
    LockHeldError,
    SettingsError,
    WorkFailedError,
    counted,
    listed,
)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (BellwetherError, 1),
        (WorkFailedError, 1),
        (InputError, 2),
        (SettingsError, 2),
        (DependencyError, 3),
        (GateRefusedError, 4),
        (LockHeldError, 5),
    ],
)
def test_every_kind_has_its_exit_code(error, exit_code):
    assert issubclass(error, BellwetherError)
    assert error.exit_code == exit_code


def test_at_most_five_items_are_named():
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"


@pytest.mark.parametrize(
    ("count", "sentence"), [(0, "0 files are"), (1, "1 file is"), (2, "2 files are"), (1234, "1,234 files are")]
)
def test_one_is_counted_otherwise_than_several(count, sentence):
    assert counted(count, "file is|files are") == sentence
