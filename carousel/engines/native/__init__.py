"""The native engine: a program becomes a plan, by the compiler in this folder, and `carousel/native`, in C++, runs it.

engine      what Carousel calls: whether the engine can run a scan, a scan, what it keeps, its status
call        one call of the library: plans, memory, arguments
binding     the library and its structures in ctypes; `identity`: whether it fits this package
stepper     one step after another, from states that the library holds; `one_step`: a single one, from given states
plan        what a plan is made of; `text`: as a listing; `verify`: its grammar
forward     the plan of a scan; `backward`: of backpropagation through it. Both go through
            `select` (nodes become `items`), `passes` (what is done when and stands where), `emit` and `listing`
operator    torch's side: autograd and compilers; `padded`: room to spare; `flops`: how many operations a scan is
"""

from carousel.engines.native.engine import division, kept, listing, openmp_runtimes, scan, status, use_isa, why_not
from carousel.engines.native.one_step import one_step
from carousel.engines.native.stepper import Stepper

__all__ = [
    "Stepper",
    "division",
    "kept",
    "listing",
    "one_step",
    "openmp_runtimes",
    "scan",
    "status",
    "use_isa",
    "why_not",
]
