"""How good a forecast is: metrics, naive baselines, and the correction of intervals. It knows arrays only."""
