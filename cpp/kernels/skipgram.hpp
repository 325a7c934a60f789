// What the skip-gram kernel takes, and its table over instruction sets.
#pragma once

#include <cstdint>

namespace gossamer {

// One pass over `count` walks, walk `done` of `total` first; see skipgram.cpp. Memory is reached by aligned rows of
// `stride` floats, a multiple of 16, of which those beyond the dimensions are zero and stay so.
struct SkipGram {
  float* vectors;               // (nodes, stride) what is learned
  float* contexts;              // (nodes, stride) the other side of each dot product
  std::int64_t nodes;
  std::int64_t stride;
  const std::int64_t* walks;    // (count, length) nodes; negative ones are no nodes and are passed over
  std::int64_t count;
  std::int64_t length;
  const float* keep;            // (nodes) how likely each occurrence of a node is kept; or null: always
  const std::uint64_t* noise;   // (nodes) an alias table: the threshold above, the alias in the low 32 bits
  std::int64_t window;          // the widest distance between a node and its context
  std::int64_t negatives;
  double rate;                  // of learning before the first walk
  double final_rate;            // after the last one
  std::int64_t done;
  std::int64_t total;
  std::uint64_t key;
  std::int32_t* kept;           // (count, length) lent
  int threads;
};

struct SkipGramKernels {
  const char* name;
  bool (*train)(const SkipGram&);
};

}  // namespace gossamer
