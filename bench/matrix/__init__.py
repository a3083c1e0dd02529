"""Every scan, flood, anomaly and kind of ordinary traffic that iplog is judged by, made anew with real tools: `python -m bench.matrix`, as root."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# The network and the clients in it are those of the captures in tests/captures.
sys.path.insert(0, str(CHECKOUT / "tests"))
