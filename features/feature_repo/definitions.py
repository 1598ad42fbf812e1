"""What the ``feast`` command finds here: the entity, views and services made from the catalogue."""

from features.feature_store.views import feature_objects
from features.home.home import Home
from features.settings.load import load_settings
from features.start import start

start()
globals().update({f"{type(item).__name__}_{item.name}": item for item in feature_objects(Home(load_settings()))})
