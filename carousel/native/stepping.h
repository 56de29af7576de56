// One step at a time: a scan of two steps laid out once and walked for ever, each of the two going on from the other.
#pragma once

#include <new>

#include "scan_forward.h"

namespace carousel::CAROUSEL_ISA {

// Lives at the beginning of the scan's workspace, from which it also has all its memory.
template <class T> struct Stepping {
    CarouselScan scan;
    Forward<T> forward;
    int64_t next = 0;    // which of the two steps comes next
    bool begun = false;  // whether it goes on from the other one, and not from scan.first

    Stepping(const CarouselScan& given, Arena& arena) : scan(given), forward(scan, arena) {}

    static Stepping& of(const CarouselScan& scan) { return *static_cast<Stepping*>(scan.workspace); }

    static int64_t workspace(const CarouselScan& scan) {
        Arena arena{0};
        arena.take<Stepping>(1);
        Stepping(scan, arena);
        return arena.used;
    }

    // Packs the weights. One thread does the part of each: a later team may be of any size.
    static void open(const CarouselScan& scan) {
        Arena arena{reinterpret_cast<uintptr_t>(scan.workspace)};
        const Stepping& made = *new (arena.take<Stepping>(1)) Stepping(scan, arena);
        for (int i = 0; i < scan.threads; ++i) made.forward.prepare(made.forward.machine.layout.worker(i, scan.threads));
    }

    static void begin(const CarouselScan& scan) { of(scan).begun = false; }

    // x: [batch][input]. to: per state, where it is wanted as rows, or null.
    static void step(const CarouselScan& scan, bool alone, const void* x, void* const* to) {
        Stepping& s = of(scan);
        run_team(alone ? 1 : scan.threads, [&](int thread, int threads, Barrier& barrier) {
            s.run(s.forward.machine.layout.worker(thread, threads), static_cast<const T*>(x), to, barrier);
        });
        s.next = 1 - s.next;
        s.begun = true;
    }

    // The states after the last step, to scan.last.
    static void states(const CarouselScan& scan) {
        const Stepping& s = of(scan);
        const Machine<T>& machine = s.forward.machine;
        if (s.begun) {
            machine.take_leaving(machine.layout.worker(0, 1), s.at(1 - s.next), s.chunk(1 - s.next), scan.last);
            return;
        }
        for (int64_t i = 0; i < scan.plan->carried_count; ++i)
            std::memcpy(scan.last[i], scan.first[i], scan.batch * machine.layout.rows_each(scan.plan->buffers[scan.plan->carried[i]]) * machine.layout.units[scan.plan->state_sizes[i]] * sizeof(T));
    }

   private:
    void run(const Worker<T>& w, const T* x, void* const* to, Barrier& barrier) const {
        if (!begun) {
            forward.machine.prepare_states(w, false);
            barrier.wait();
        }
        forward.run_chunk(w, chunk(next), x, to, barrier, [&](int64_t k) { return at(k); });
    }

    // Every row leaves: a step's results are taken at once.
    Step at(int64_t k) const { return {scan.batch, k * scan.batch, begun ? scan.batch : 0, (1 - k) * scan.batch, 0, 0, k, k * members(), members()}; }

    Chunk chunk(int64_t k) const { return {k, k + 1, k * scan.batch, scan.batch, k * members(), members()}; }

    int64_t members() const { return scan.batch * scan.members; }  // of all rows of a step
};

}  // namespace
