import hashlib
import hmac

import pytest

from features.exceptions import InputError, SettingsError
from features.home.secret import pseudonym, secret_key


def test_a_pseudonym_is_half_of_the_keyed_hash():
    assert pseudonym(b"key", "Ünal") == hmac.new(b"key", "Ünal".encode(), hashlib.sha256).digest()[:16].hex()


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    key = secret_key(tmp_path)
    assert secret_key(tmp_path) == key
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("content", "text"), [("no key", "holds no key"), ("ab", "is cut short")])
def test_a_damaged_key_is_named(tmp_path, content, text):
    (tmp_path / "secret.key").write_text(content)
    with pytest.raises(SettingsError, match=text):
        secret_key(tmp_path)


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file is not a folder. Choose another with --home"):
        secret_key(tmp_path / "file")
