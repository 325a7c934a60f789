// The gradient of attention: weights are computed again from the scores and each target's norm, nothing is stored.
//
// With weights w of a target i, dropped by d, and the gradient g of its result: the value of source j receives w d g, and
// the score w (d (g · value) - inner), where inner = Σ w d (g · value) is g · result. Walking the transposed graph, one
// gather of g serves both; what a score receives is noted at its place in the graph itself, one number a head, for the sums
// over targets that follow.
#include "heads.hpp"
#include "stretches.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

typedef vec<kLanes> Lanes;

std::int64_t left_size(const AttentionBack& a) { return a.scores.heads * (a.scores.features + 1); }

template <Score form, class Index>
void attend(const AttentionBack& a, const Stretch& s, float* carry, Group g) {
  const std::int64_t heads = a.scores.heads, features = a.scores.features, width = heads * features;
  const auto* indices = static_cast<const Index*>(a.graph.indices);
  const auto* edge = static_cast<const Index*>(a.edge);
  const float* values = a.values + s.row * width + g.first * features;
  float* out = (s.continued ? carry : a.out + s.row * width) + g.first * features;
  for (std::int64_t f = 0; f < g.count * features; ++f) out[f] = 0.0f;
  alignas(64) float scores[kHeld], flows[kHeld], norms[kHeld], inners[kHeld], keeps[kHeld], ones[kLanes];
  const auto reach = smaller<std::int64_t>(s.end - s.begin, kChunk) * g.slots + kLanes;  // what will be read
  for (int i = 0; i < kHeld && i < reach; ++i) scores[i] = flows[i] = norms[i] = inners[i] = 0.0f, keeps[i] = 1.0f;
  store<kLanes>(ones, Lanes{} + 1.0f);
  Lanes near = {}, near_grad = {};
  if constexpr (form == Score::additive) near = tiled(a.scores.near + s.row * heads + g.first, g);
  for (std::int64_t e = s.begin; e < s.end; e += kChunk) {
    const Chunk<Index> chunk{indices + e, e, static_cast<int>(smaller<std::int64_t>(s.end - e, kChunk)),
                             a.graph.entries - e};
    raw_scores<form>(a.scores, s.row, g, chunk, scores);
    pick(a.norms, heads, g, chunk, norms);
    pick(a.inner, heads, g, chunk, inners);
    for (int c = 0; c < chunk.count; ++c) {
      const float* grad = a.grad + static_cast<std::int64_t>(chunk.indices[c]) * width + g.first * features;
      if (c + kFetch < chunk.left) {
        const float* next = a.grad + static_cast<std::int64_t>(chunk.indices[c + kFetch]) * width + g.first * features;
        for (std::int64_t f = 0; f < g.count * features; f += 16) __builtin_prefetch(next + f);
      }
      for (int h = 0; h < g.count; ++h) flows[c * g.slots + h] = dot(grad + h * features, values + h * features, features);
      if (a.scores.dropped) {
        for (int h = 0; h < g.count; ++h) keeps[c * g.slots + h] = 1.0f;
        drop(a.scores, edge[e + c], g, keeps + c * g.slots);
      }
    }
    pad(scores, chunk.count, g.slots, -__builtin_inff());
    pad(norms, chunk.count, g.slots, 0.0f);
    pad(inners, chunk.count, g.slots, 0.0f);
    pad(flows, chunk.count, g.slots, 0.0f);
    each_vector(chunk.count, g.slots, [&](int i) GOSSAMER_LAMBDA {
      const Lanes raw = load<kLanes>(scores + i) + near, keep = load<kLanes>(keeps + i);
      const Lanes score = form == Score::additive ? leaky<kLanes>(raw, a.scores.slope) : raw;
      const Lanes weight = exponential<kLanes>(score - load<kLanes>(norms + i));
      Lanes grad = weight * (keep * load<kLanes>(flows + i) - load<kLanes>(inners + i));
      if constexpr (form == Score::additive) {
        grad = raw > 0 ? grad : grad * a.scores.slope;
        near_grad += grad;
      }
      if constexpr (form == Score::dot) grad *= a.scores.scale;
      store<kLanes>(flows + i, grad);
      store<kLanes>(scores + i, weight * keep);
    });
    for (int c = 0; c < chunk.count; ++c)
      for (int h = 0; h < g.count; ++h)
        a.score_grad[static_cast<std::int64_t>(edge[e + c]) * heads + g.first + h] = flows[c * g.slots + h];
    WeightedSum<Index>{out, ones, scores, a.grad + g.first * features, width, features, g, chunk}
        .template columns<kLanes>(0);
  }
  if (a.near_grad) {
    float sums[kLanes];
    store<kLanes>(sums, fold<kLanes>(near_grad, g.slots, [](Lanes x, Lanes y) { return x + y; }));
    float* to = (s.continued ? carry + width : a.near_grad + s.row * heads) + g.first;
    for (int h = 0; h < g.count; ++h) to[h] = sums[h];
  }
}

template <Score form, class Index>
void piece(const AttentionBack& a, Place from, Place to, float* carry) {
  each_stretch(a.graph, from, to, [&](const Stretch& s) {
    each_group(a.scores.heads, [&](Group g) { attend<form, Index>(a, s, carry, g); });
  });
}

}  // namespace

std::size_t attention_back_scratch(const AttentionBack& a) {
  const std::int64_t pieces = piece_count(a.graph, piece_steps(a.scores.heads * a.scores.features));
  return static_cast<std::size_t>(pieces * left_size(a));
}

bool attention_back(const AttentionBack& a, float* scratch) {
  const std::int64_t width = a.scores.heads * a.scores.features;
  const auto run = [&](std::int64_t i, Place from, Place to) {
    float* carry = scratch + i * left_size(a);
    const bool narrow = a.graph.index_bytes == 4;
    switch (a.scores.form) {
      case Score::additive:
        return narrow ? piece<Score::additive, std::int32_t>(a, from, to, carry)
                      : piece<Score::additive, std::int64_t>(a, from, to, carry);
      case Score::dot:
        return narrow ? piece<Score::dot, std::int32_t>(a, from, to, carry)
                      : piece<Score::dot, std::int64_t>(a, from, to, carry);
      case Score::mixed:
        return narrow ? piece<Score::mixed, std::int32_t>(a, from, to, carry)
                      : piece<Score::mixed, std::int64_t>(a, from, to, carry);
    }
  };
  return run_pieces(a.graph, piece_steps(width), a.threads, run, [&](std::int64_t i, const Stretch& s) {
    const float* carry = scratch + i * left_size(a);
    for (std::int64_t k = 0; k < width; ++k) a.out[s.row * width + k] += carry[k];
    if (!a.near_grad) return;
    for (std::int64_t h = 0; h < a.scores.heads; ++h) a.near_grad[s.row * a.scores.heads + h] += carry[width + h];
  });
}

}  // namespace gossamer::GOSSAMER_ISA
