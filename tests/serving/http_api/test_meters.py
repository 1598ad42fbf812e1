"""The metrics page of two workers, one of which was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from serving.http_api.meters import Meters
meters = Meters()
for version in sys.argv[1:]:
    meters.served("churn", version)
meters.refused("churn")
meters.answered(route="/v1/score", method="POST", status=200, seconds=0.004)
sys.stdout.write(meters.page().decode())
sys.stdout.flush()
import os
os.kill(os.getpid(), 9)
"""


def test_pages_add_up_and_name_the_version_each_living_worker_serves(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    pages = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, *versions],
            env=environment,
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for versions in (("1",), ("1", "2"))
    ]
    assert 'bellwether_refused_models_total{target="churn"} 1.0' in pages[0]
    assert 'bellwether_refused_models_total{target="churn"} 2.0' in pages[1]
    assert 'bellwether_requests_total{method="POST",route="/v1/score",status="200"} 2.0' in pages[1]
    assert 'bellwether_request_seconds_bucket{le="0.005",route="/v1/score"} 2.0' in pages[1]
    served = [line.partition('target="')[2] for line in pages[1].splitlines() if line.startswith("bellwether_served")]
    assert sorted(served) == ['churn",version="1"} 0.0', 'churn",version="2"} 1.0']
