"""AutoARIMA, AutoETS and AutoTheta, fitted again before every forecast, in an environment with statsforecast.

    python forecasting_classical_peers.py FILE MODEL

FILE is an .npz: `values` (T), a series without gaps; `rows`, the origins; `horizon`; `season`, its steps. MODEL is a
name of statsforecast. The answer is one line of JSON: `quantiles` (horizon, origins, 5), the forecast and the ends of
the intervals of 80 % and 95 %, and the seconds that all fits took, after a first one in which numba compiles.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from statsforecast import models


def main(file: Path, name: str) -> None:
    arrays = np.load(file)
    values, horizon, season = arrays["values"], int(arrays["horizon"]), int(arrays["season"])

    def told(row: int) -> np.ndarray:
        model = getattr(models, name)(season_length=season)
        forecast = model.forecast(y=values[: row + 1], h=horizon, level=[80, 95])
        ends = [forecast[f"{end}-{level}"] for level in (80, 95) for end in ("lo", "hi")]
        return np.stack([forecast["mean"], *ends], axis=-1)

    told(int(arrays["rows"][0]))
    started = time.perf_counter()
    quantiles = np.stack([told(int(row)) for row in arrays["rows"]], axis=1)
    print(json.dumps({"quantiles": quantiles.tolist(), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
