"""What the ``feast`` command finds here: the entity, views and services made from the catalogue."""

from features.settings import load_settings
from features.start import start
from features.store import feature_objects

start()
globals().update({f"{type(item).__name__}_{item.name}": item for item in feature_objects(load_settings())})
