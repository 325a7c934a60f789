// Sums of a leaky ReLU and of its slope over the neighbours, weighted by head: the gradient of mixed scores.
//
// The arguments near + far of an edge are as wide as a node's features; they are made in registers and never stored.
#include "columns.hpp"
#include "neighbours.hpp"
#include "stretches.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kAhead = 12;  // entries between a fetch and its use
constexpr int kMost = kRegisters / 4;

template <class Index>
struct Bends {
  const LeakySum& a;
  std::int64_t head;
  Place from;
  Place to;
  float* carry;  // slopes, then bent

  template <int W, int N>
  bool run(const Block& block) const {
    const auto* indices = static_cast<const Index*>(a.graph.indices);
    const auto* edge = static_cast<const Index*>(a.edge);
    const std::int64_t width = a.heads * a.features;
    const std::int64_t start = head * a.features + block.first, tail = block.last - block.first;
    const float* base = a.far + start;
    const std::int64_t fetchable = a.graph.entries - kAhead;
    each_stretch(a.graph, from, to, [&](const Stretch& s) GOSSAMER_LAMBDA {
      vec<W> near[N], slopes[N] = {}, bent[N] = {};
      const float* row = a.near + s.row * width + start;
      GOSSAMER_UNROLL
      for (int k = 0; k < N - 1; ++k) near[k] = load<W>(row + k * W);
      near[N - 1] = load<W>(row + tail);
      for (std::int64_t e = s.begin; e < s.end; ++e) {
        if (e < fetchable) {
          const float* next = base + static_cast<std::int64_t>(indices[e + kAhead]) * width;
          for (int line = 0; line < N * W; line += 16) __builtin_prefetch(next + line);
        }
        const float* far = base + static_cast<std::int64_t>(indices[e]) * width;
        const float weight = a.weights[(edge ? static_cast<std::int64_t>(edge[e]) : e) * a.heads + head];
        const auto add = [&](int k, std::int64_t column) GOSSAMER_LAMBDA {
          const vec<W> z = near[k] + load<W>(far + column);
          const vec<W> slope = z > 0 ? vec<W>{} + weight : vec<W>{} + weight * a.slope;
          slopes[k] += slope;
          bent[k] += slope * z;
        };
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) add(k, k * W);
        add(N - 1, tail);
      }
      float* to_slopes = (s.continued ? carry : a.slopes + s.row * width) + start;
      float* to_bent = (s.continued ? carry + width : a.bent + s.row * width) + start;
      GOSSAMER_UNROLL
      for (int k = 0; k < N - 1; ++k) {
        store<W>(to_slopes + k * W, slopes[k]);
        store<W>(to_bent + k * W, bent[k]);
      }
      store<W>(to_slopes + tail, slopes[N - 1]);
      store<W>(to_bent + tail, bent[N - 1]);
    });
    return true;
  }
};

}  // namespace

std::size_t leaky_sum_scratch(const LeakySum& a) {
  const std::int64_t width = a.heads * a.features;
  return static_cast<std::size_t>(piece_count(a.graph, piece_steps(width)) * 2 * width);
}

bool leaky_sum(const LeakySum& a, float* scratch) {
  const std::int64_t width = a.heads * a.features;
  if (width == 0) return true;
  const auto run = [&](std::int64_t i, Place from, Place to) {
    float* carry = scratch + i * 2 * width;
    for (std::int64_t head = 0; head < a.heads; ++head)
      a.graph.index_bytes == 4
          ? cover_columns<kLanes, kMost>(a.features, Bends<std::int32_t>{a, head, from, to, carry})
          : cover_columns<kLanes, kMost>(a.features, Bends<std::int64_t>{a, head, from, to, carry});
  };
  return run_pieces(a.graph, piece_steps(width), a.threads, run, [&](std::int64_t i, const Stretch& s) {
    const float* carry = scratch + i * 2 * width;
    for (std::int64_t k = 0; k < width; ++k) {
      a.slopes[s.row * width + k] += carry[k];
      a.bent[s.row * width + k] += carry[width + k];
    }
  });
}

}  // namespace gossamer::GOSSAMER_ISA
