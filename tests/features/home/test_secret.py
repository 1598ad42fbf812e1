import hashlib
import hmac
import shutil

import pytest

from features.exceptions import InputError, SettingsError
from features.home.home import Home
from features.home.secret import home_key, key_check, pseudonym, secret_key
from features.ingest.dry_run import dry_run
from features.ingest.ingest import ingest
from features.init import initialise
from features.settings.load import load_settings
from features.windows import utc


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


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Holds one call, whose token is stored under the home's key."""
    folder = tmp_path_factory.mktemp("loaded")
    home = Home(load_settings(home=folder / "home", threads=1))
    ingest(home, now=utc(2026, 2, 1), events=[calls(folder / "calls.csv", "key-1")])
    return home


@pytest.fixture
def home(loaded, tmp_path):
    return loaded.moved_to(shutil.copytree(loaded.root, tmp_path / "home"))


def calls(path, token):
    path.write_text(f"account_id,event_time,token\nacme,2026-01-01T10:00:00Z,{token}\n")
    return path


def replace(path):
    path.write_text("ab" * 32 + "\n")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.unlink(), r"secret\.key is missing, and .* holds tokens and users stored under it"),
        (replace, r"secret\.key is not the key under which .* tokens and users are stored"),
        (lambda path: path.write_text(path.read_text()[:40]), r"secret\.key is cut short"),
        (lambda path: path.write_text(""), r"secret\.key is cut short"),
        (lambda path: (path.unlink(), path.mkdir()), r"secret\.key holds no key"),
    ],
    ids=["missing", "replaced", "cut", "empty", "a folder"],
)
@pytest.mark.parametrize("step", [home_key, initialise, dry_run], ids=lambda step: step.__name__)
def test_another_key_than_the_stored_tokens_have_is_refused(home, tmp_path, step, damage, text):
    damage(home.secret_key)
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    more = {"events": [calls(tmp_path / "more.csv", "key-2")]}
    given = ({"now": utc(2026, 2, 2), "given": more, "backfill": False}) if step is dry_run else {}
    with pytest.raises(SettingsError, match=text + r".* Restore it from the backup"):
        step(home, **given)
    assert {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("store", ["events", "raw", "quarantine"])
def test_every_store_that_hashes_notes_which_key_it_did_it_with(home, store):
    assert home.stores.named(store).manifest().notes["key_check"] == key_check(secret_key(home.root))


def test_the_note_does_not_tell_the_key_of_a_token_of_the_same_text():
    key = b"k" * 32
    assert key_check(key) not in {pseudonym(key, text) for text in ("bellwether key check", "key_check", "")}


def test_a_home_of_before_notes_the_key_it_has_and_one_without_rows_may_get_a_new_one(home, tmp_path):
    for name in ("events", "raw", "quarantine"):
        with home.stores.named(name).writer() as writer:
            writer.notes.pop("key_check")
    ingest(home, now=utc(2026, 2, 2), events=[calls(tmp_path / "more.csv", "key-2")])
    assert "key_check" in home.stores.events.manifest().notes
    home.empty()
    home.secret_key.unlink()
    assert len(home_key(home)) == 32
