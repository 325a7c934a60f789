// What each node takes from its neighbours beyond a plain weighted sum: scaled sums with an epilogue, maxima, attention.
// The rules that kernels.hpp states for all kernels hold here too.
#pragma once

#include "kernels.hpp"

namespace gossamer {

// out[i] = relu(target[i] * sum over entries e of row i of source[j] * x[j] + add_scale * add[i] + bias), j = indices[e];
// see propagate.cpp.
struct Propagate {
  Pattern graph;
  std::int64_t features;
  Element element;
  const void* x;        // (columns, features)
  const float* source;  // (columns) or null: ones
  const float* target;  // (rows) or null: ones
  const float* add;     // (rows, features) or null
  float add_scale;
  const float* bias;  // (features) or null
  bool relu;
  float* out;  // (rows, features)
  int threads;
};

// out[i] = the largest source[j] * x[j] over the entries of row i, feature by feature, and how many entries have it;
// see maximum.cpp. A NaN is larger than anything.
struct Maximum {
  Pattern graph;
  std::int64_t features;
  Element element;
  const void* x;        // (columns, features)
  const float* source;  // (columns) or null: ones
  float* out;           // (rows, features)
  float* ties;          // (rows, features) or null
  int threads;
};

// out[j] = sum over entries of row j of share[i] where largest[i] = x[j], i = indices[e]: the gradient of a maximum, over
// the transposed graph.
struct MaximumBack {
  Pattern graph;
  std::int64_t features;
  const float* x;        // (rows, features)
  const float* largest;  // (columns, features)
  const float* share;    // (columns, features)
  float* out;            // (rows, features)
  int threads;
};

// How an edge's score comes about from `near`, which belongs to the row of an entry, and `far`, which its index picks.
enum class Score : int {
  additive = 0,  // leaky(near + far), one number a head
  dot = 1,       // scale * near . far
  mixed = 2,     // mix . leaky(near + far)
};

// What both directions of attention share. Weights are dropped by a hash of `seed` and the place of entry and head.
struct Scores {
  Score form;
  std::int64_t heads;
  std::int64_t features;  // of one head
  const float* near;      // (rows, heads) for additive, else (rows, heads, features)
  const void* far;        // (columns, heads) float32 for additive, else (columns, heads, features)
  const float* far_scale; // (columns) what rows of `far` are multiplied by, or null: ones
  const float* mix;       // (heads, features) for mixed
  float slope;            // of leaky below zero
  float scale;            // for dot
  std::uint32_t seed;
  std::uint32_t dropped;  // weights whose hash is below are dropped
  float boost;            // what the others are multiplied by
};

// out[i, h] = sum over entries of row i of softmax(score(i, j, h)) * values[j, h]; see attention.cpp.
struct Attention {
  Pattern graph;
  Scores scores;
  Element element;            // of `values`, and of `far` where it has features
  const void* values;         // (columns, heads, features)
  const float* values_scale;  // (columns) what rows of `values` are multiplied by, or null: ones
  float* out;                 // (rows, heads, features)
  float* tops;          // (rows, heads): the largest score
  float* totals;        // (rows, heads): the sum of exponentials of score - top, 0 where there are no entries
  int threads;
};

// The gradient of attention, over the transposed graph: a row is a source j, an index a target i.
struct AttentionBack {
  Pattern graph;
  Scores scores;        // near and far have changed places: near (rows = sources), far (columns = targets), float32
  const void* edge;     // (entries) place of each entry in the graph itself, as wide as an index
  const float* values;  // (rows, heads, features)
  const float* norms;   // (columns, heads): top + log(total) of each target
  const float* result;  // (columns, heads, features)
  const float* grad;    // (columns, heads, features): of the result
  float* out;           // (rows, heads, features): gradient of the values
  float* near_grad;     // (rows, heads) for additive: gradient of near; else null
  float* score_grad;    // (entries, heads), in the places of the graph itself: gradient of near + far for additive,
                        // of scale * near . far for dot, of the score for mixed
  int threads;
};

// slopes[i, h] = sum over entries e of row i of weights[e, h] * leaky'(z), and bent[i, h] the same with leaky(z),
// z = near[i, h] + far[j, h]: what the gradient of mixed scores needs; see leaky_sum.cpp.
struct LeakySum {
  Pattern graph;
  std::int64_t heads;
  std::int64_t features;
  const void* edge;      // (entries) place of each entry's weight, as wide as an index; null: its own place
  const float* weights;  // (entries, heads)
  const float* near;     // (rows, heads, features)
  const float* far;      // (columns, heads, features)
  float slope;
  float* slopes;  // (rows, heads, features)
  float* bent;    // (rows, heads, features)
  int threads;
};

// out[k, n, h] = x[n, h] . vectors[k, h]; see head_dots.cpp.
struct HeadDots {
  std::int64_t nodes;
  std::int64_t heads;
  std::int64_t features;  // of one head
  std::int64_t count;
  const float* x;        // (nodes, heads, features)
  const float* vectors;  // (count, heads, features)
  float* out;            // (count, nodes, heads)
  int threads;
};

// x_grad[n, h] = sum over k of grad[k, n, h] * vectors[k, h], and vectors_grad[k, h] = sum over n of grad[k, n, h] * x[n, h].
struct HeadDotsBack {
  std::int64_t nodes;
  std::int64_t heads;
  std::int64_t features;
  std::int64_t count;
  const float* x;        // (nodes, heads, features)
  const float* vectors;  // (count, heads, features)
  const float* grad;     // (count, nodes, heads)
  float* x_grad;         // (nodes, heads, features)
  float* vectors_grad;   // (count, heads, features)
  int threads;
};

// The kernels of one instruction set. `..._scratch` says how many floats the caller lends.
struct NeighbourKernels {
  const char* name;
  std::size_t (*propagate_scratch)(const Propagate&);
  bool (*propagate)(const Propagate&, float* scratch);
  std::size_t (*maximum_scratch)(const Maximum&);
  bool (*maximum)(const Maximum&, float* scratch);
  std::size_t (*maximum_back_scratch)(const MaximumBack&);
  bool (*maximum_back)(const MaximumBack&, float* scratch);
  std::size_t (*attention_scratch)(const Attention&);
  bool (*attention)(const Attention&, float* scratch);
  std::size_t (*attention_back_scratch)(const AttentionBack&);
  bool (*attention_back)(const AttentionBack&, float* scratch);
  std::size_t (*leaky_sum_scratch)(const LeakySum&);
  bool (*leaky_sum)(const LeakySum&, float* scratch);
  void (*head_dots)(const HeadDots&);
  std::size_t (*head_dots_back_scratch)(const HeadDotsBack&);
  void (*head_dots_back)(const HeadDotsBack&, float* scratch);
};

}  // namespace gossamer
