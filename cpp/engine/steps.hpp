// Each kind of step: what it complains about, what it borrows, and how it calls its kernel. Sizes are checked once for
// each set of sizes, when an instance is made; a run checks nothing but indices.
#pragma once

#include "instance.hpp"

namespace gossamer::engine {

struct Behaviour {
  std::string (*complaint)(const Step&, const Frame&);
  std::size_t (*scratch)(const Step&, const Frame&);
  bool (*run)(const Step&, const Frame&);
};

inline std::size_t no_scratch(const Step&, const Frame&) { return 0; }

// Returns "" if the step has so many inputs, of which the first `needed` are there, and so many sizes and numbers.
std::string arity(const Step& step, std::size_t inputs, std::size_t needed, std::size_t sizes, std::size_t numbers);

// Says whether a value has these sizes, holds floats, and lies contiguously.
bool plain(const Frame& frame, int value, std::initializer_list<std::int64_t> size);
bool holds(const Frame& frame, int value, Number number);
bool holds_indices(const Frame& frame, int value);

// A pattern in CSR form from the inputs `at` (indptr) and `at` + 1 (indices) of a step.
Pattern pattern_of(const Step& step, const Frame& frame, std::size_t at, std::int64_t rows, std::int64_t columns);
bool sound_pattern(const Step& step, const Frame& frame, std::size_t at, std::int64_t rows);

extern const Behaviour kLinear, kConvolution, kPointwise, kMatMul, kAttention, kSoftmax, kNormalize, kReduce, kPool, kCopy,
    kGather, kPropagate, kNeighbourAttention, kHeadDots, kBlockedConvolution, kBlockedDepthwise, kBlockedPool, kRelayout, kArithmetic, kScan, kArgMax, kTake, kScatter, kRecurrent,
    kSortEdges, kSelfLoops;

}  // namespace gossamer::engine
