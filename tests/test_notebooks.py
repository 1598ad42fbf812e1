"""Every notebook runs from top to bottom on a small demonstration's state, and lies in the tree without outputs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from features.home.home import Home
from tests.conftest import World
from tests.shared import linked

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_cleared(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.fixture(scope="module")
def two_targets(trained: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained home with a champion of upsell beside churn's, and both scored."""
    from serving.routine.batch import score_batch
    from tests.serving.conftest import make_bundle, register_bundle
    from training.registry.promotion import promote

    root = tmp_path_factory.mktemp("notebook")
    linked(trained.settings.home, root / "home")
    settings = trained.settings.model_copy(update={"home": root / "home"})
    upsell = replace(make_bundle(seed=3), target="upsell", service="upsell_v2", title="upgrade")
    upsell = replace(upsell, bands={"high": 1e-9})  # so that somebody is offered an upgrade
    promote(Home(settings), "upsell", version=register_bundle(settings, upsell, root)[1])
    score_batch(Home(settings), as_of=trained.newest, now=trained.now)
    return settings.home


@pytest.mark.slow
@pytest.mark.delivery
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, two_targets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Here: every worker imports this file to collect it, and this takes seconds.
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("BELLWETHER_HOME", str(two_targets))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 6
