// A team of threads for the length of one call, and the barrier they meet at.
//
// The team is OpenMP's, so that it is the same pool as torch's. CAROUSEL_STD_THREADS (for ThreadSanitizer, which
// cannot see into libgomp) makes it of std::thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "thresholds.h"

#if defined(CAROUSEL_STD_THREADS)
#include <thread>
#elif defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__) || defined(__APPLE__)
#include <sched.h>
#endif

namespace carousel::CAROUSEL_ISA {

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Threads spin here, and give way after a while.
// The last to arrive opens it by counting the round up: whoever waits for this round sees another number.
class Barrier {
   public:
    explicit Barrier(int threads) : threads_(threads) {}

    void expect(int threads) { threads_ = threads; }

    void wait() {
        if (threads_ == 1) return;
        const uint32_t round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int turns = 0; round_.load(std::memory_order_acquire) == round; ++turns) {
            if (turns < SPINS) {
                relax();
            } else {
#if defined(__linux__) || defined(__APPLE__)
                sched_yield();
#endif
            }
        }
    }

   private:
    int threads_;
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<uint32_t> round_{0};
};

// Calls work(thread, threads, barrier) on each of a team of at most `threads`. A forked child runs alone: it has inherited
// OpenMP's idea of a pool without the threads.
template <class Work> inline void run_team(int threads, Work work) {
    if (threads == 1) {
        Barrier alone(1);
        work(0, 1, alone);
        return;
    }
#if defined(CAROUSEL_STD_THREADS)
    Barrier barrier(threads);
    std::thread others[64];
    for (int i = 1; i < threads; ++i) others[i] = std::thread([&, i] { work(i, threads, barrier); });
    work(0, threads, barrier);
    for (int i = 1; i < threads; ++i) others[i].join();
#elif defined(_OPENMP)
    Barrier barrier(0);
#pragma omp parallel num_threads(threads)
    {
#pragma omp single
        barrier.expect(omp_get_num_threads());  // it may be a smaller team than asked for
        work(omp_get_thread_num(), omp_get_num_threads(), barrier);
    }
#else
    Barrier alone(1);
    work(0, 1, alone);
#endif
}

struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
};

// The part of [0, count) that is one thread's, in whole multiples of `grain`.
inline Range share(int64_t count, int thread, int threads, int64_t grain = 1) {
    const int64_t pieces = (count + grain - 1) / grain;
    const int64_t begin = pieces * thread / threads * grain, end = pieces * (thread + 1) / threads * grain;
    return {begin < count ? begin : count, end < count ? end : count};
}

inline Range overlap(Range a, Range b) {
    const int64_t begin = a.begin > b.begin ? a.begin : b.begin, end = a.end < b.end ? a.end : b.end;
    return {begin, end < begin ? begin : end};
}

}  // namespace
