// The numbers that decide which of two ways is taken, each with its reason.
//
// `benchmarks/thresholds.py NAME VALUE ...` builds the library with other values of a number and times all of them in
// turns; without arguments it lists the numbers, and what is timed for each.
#pragma once

#include "simd.h"

namespace carousel::CAROUSEL_ISA {

// The depth of a panel that stays in L2 while all rows pass over it: 512 x 64 floats are 128 KB.
constexpr int DEPTH = 512;

// With at most so many rows a tile has too few sums to cover the latency of a multiply-add (8 to 10 sums are needed),
// so that it crosses several panels: four with one row, two with two or three.
constexpr int64_t FEW_ROWS = 3;
constexpr int64_t ONE_ROW_ACROSS = 4;
constexpr int64_t FEW_ROWS_ACROSS = 2;

// Rows that go together through the segments which run once for a chunk: what one leaves is in cache for the next.
constexpr int64_t ROWS_TOGETHER = 4 * TILE_ROWS;

// Of rows that have members as many go together through the segments between two products as have a panel of so many
// bytes: what one segment leaves is in L2 for the next.
constexpr int64_t MEMBERS_BYTES = 512 << 10;

// What a chunk of steps may keep in memory: long chunks make long products, and short ones stay in cache.
constexpr int64_t CHUNK_BYTES = 4 << 20;
constexpr int64_t CHUNK_ROWS_LEAST = 128;
constexpr int64_t CHUNK_ROWS_MOST = 512;

// Threads divide rows, or units. By rows no thread waits for another within a chunk, so that it hardly matters when
// another process takes a core for a while; by units each keeps its own weights in its own cache, and all meet at every
// step. From so many rows for each thread on, register tiles are full and rows are better, unless they waste
// UNITS_WIN_ABOVE times as much as units would; below, units are better, unless they waste ROWS_WIN_ABOVE times as much
// as rows would. To waste is to let a thread wait for the one with most rows or blocks.
constexpr int64_t ROWS_FROM = 2 * TILE_ROWS;
constexpr double UNITS_WIN_ABOVE = 1.15;
constexpr double ROWS_WIN_ABOVE = 1.25;

// A strip of a pointwise op: small enough that all values of a step's strip stay in L1, large enough that the
// interpreter's work for each is 1 or 2 % of it.
constexpr int STRIP_BYTES = 4096;

// A thread that waits for others looks so often before it gives way: a step lasts microseconds, but the machine may be
// shared.
constexpr int SPINS = 1500;

}  // namespace
