// What each instruction set's copy of the engine offers to dispatch.cpp. Index 0 is float, 1 is double.
#pragma once

#include "plan.h"

struct StepperTable {
    int64_t (*workspace)(const CarouselScan&);
    void (*open)(const CarouselScan&);
    void (*begin)(const CarouselScan&);
    void (*step)(const CarouselScan&, bool alone, const void* x, void* const* to);
    void (*states)(const CarouselScan&);
};

struct EngineTable {
    const char* (*op_name)(int op);
    int (*op_arity)(int op);
    int block[2];
    bool (*has_dots)();
    void (*forward[2])(const CarouselScan&);
    void (*backward[2])(const CarouselScan&);
    void (*forward_each[2])(const CarouselScan*, int64_t count, bool alone);
    void (*backward_each[2])(const CarouselScan*, int64_t count, bool alone);
    int64_t (*forward_workspace[2])(const CarouselScan&);
    int64_t (*backward_workspace[2])(const CarouselScan&);
    bool (*by_units[2])(const CarouselScan&);
    StepperTable stepper[2];
    int64_t (*saved_width[2])(const CarouselPlan&, const int64_t* units, bool members);
    void (*apply_float)(int op, int64_t count, const float* a, const float* b, const float* c, float* result);
    void (*apply_double)(int op, int64_t count, const double* a, const double* b, const double* c, double* result);
    double (*multiply_add_many)(int64_t turns);
    double (*read_all)(const float* from, int64_t count);
    int operations_per_turn;
};
