"""The native engine: the compiler in this folder turns a program into a plan, and the C++ of `carousel/native` runs it.

engine      what Carousel calls: `why_not`, `scan`, `kept`, `status`; `facts`: what can be said before a scan runs
over_trees  calls for scans over trees; `leaves`: what a leaf does not need
call        one call of the library: its memory and arguments; `prepared`: the plans of a program, made once
binding     the library and its structures in ctypes; `identity`: whether it fits this package
stepper     one step after another, from states that the library holds; `ready`: scans of shapes that come again
plan        the entries of a plan; `text`: its listing; `verify`: its grammar
forward     makes the plan of a scan; `backward`: the plan of backpropagation. Both use `select` (nodes become
            `items`), `passes` (when each item is computed, and where it is stored), `emit` and `listing`
"""

from carousel.engines.native.engine import (
    division,
    division_of_trees,
    kept,
    listing,
    openmp_runtimes,
    scan,
    scan_levels,
    status,
    use_isa,
    why_not,
)
from carousel.engines.native.ready import ReadyNativeScan
from carousel.engines.native.stepper import Stepper

__all__ = [
    "ReadyNativeScan",
    "Stepper",
    "division",
    "division_of_trees",
    "kept",
    "listing",
    "openmp_runtimes",
    "scan",
    "scan_levels",
    "status",
    "use_isa",
    "why_not",
]
