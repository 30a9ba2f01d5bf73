"""Jobs: labels, splits, fit, evaluate, track, promote, report; never serving."""
