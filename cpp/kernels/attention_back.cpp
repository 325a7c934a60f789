// The gradient of attention: weights are computed again from the scores and each target's norm, nothing is stored.
//
// With weights w of a target i, dropped by d, and the gradient g of its result: the value of source j receives w d g, and
// the score w (d (g · value) - inner), where inner = Σ w d (g · value) is g · result. Norm, inner and additive score of a
// target are laid side by side first, so that an entry finds them in one place. Walking the transposed graph, one
// gather of g serves both; what a score receives is noted at its place in the graph itself, one number a head, for the sums
// over targets that follow.
#include "heads.hpp"
#include "stretches.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

typedef vec<kLanes> Lanes;

constexpr std::int64_t kRows = 1024;  // a piece of work where targets are prepared

std::int64_t left_size(const AttentionBack& a) { return a.scores.heads * (a.scores.features + 1); }

// What an entry asks of its target: (columns, 3, heads), the norm, inner, and the additive score.
void prepare(const AttentionBack& a, float* targets) {
  const std::int64_t heads = a.scores.heads, features = a.scores.features;
#pragma omp parallel num_threads(a.threads) if (a.threads > 1 && a.graph.columns > kRows)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static, kRows)
    for (std::int64_t i = 0; i < a.graph.columns; ++i)
      for (std::int64_t h = 0; h < heads; ++h) {
        const std::int64_t at = i * heads + h;
        float* target = targets + 3 * i * heads + h;
        target[0] = a.norms[at];
        target[heads] = dot(a.result + at * features, a.grad + at * features, features);
        target[2 * heads] = a.scores.form == Score::additive ? static_cast<const float*>(a.scores.far)[at] : 0.0f;
      }
  }
}

template <Score form, class Index>
void attend(const AttentionBack& a, const Stretch& s, const float* targets, float* carry, Group g) {
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
    const float* facts = targets + g.first;
    if constexpr (form == Score::additive) {
      pick(facts + 2 * heads, 3 * heads, g, chunk, scores);
    } else {
      raw_scores<form, float>(a.scores, s.row, g, chunk, scores);
    }
    pick(facts, 3 * heads, g, chunk, norms);
    pick(facts + heads, 3 * heads, g, chunk, inners);
    const auto product = [&](int, int h, std::int64_t f, auto lanes, const float* grad) GOSSAMER_LAMBDA {
      constexpr int W = decltype(lanes)::value;
      return load<W>(grad) * load<W>(values + h * features + f);
    };
    sum_rows(g, chunk, a.grad + g.first * features, width, features, product, flows);
    for (int c = 0; c < chunk.count; ++c)
      if (c + kAhead<float> < chunk.left)
        __builtin_prefetch(a.score_grad + static_cast<std::int64_t>(edge[e + c + kAhead<float>]) * heads + g.first, 1);
    if (a.scores.dropped)
      for (int c = 0; c < chunk.count; ++c) {
        for (int h = 0; h < g.count; ++h) keeps[c * g.slots + h] = 1.0f;
        drop(a.scores, edge[e + c], g, keeps + c * g.slots);
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
    WeightedSum<float, Index>{out, ones, scores, a.grad + g.first * features, width, features, g, chunk}
        .template columns<kLanes>(0);
  }
  if (a.near_grad) {
    float sums[kLanes];
    store<kLanes>(sums, fold<kLanes>(near_grad, g.slots, [](Lanes x, Lanes y) { return x + y; }));
    float* to = (s.continued ? carry + width : a.near_grad + s.row * heads) + g.first;
    for (int h = 0; h < g.count; ++h) to[h] = sums[h];
  }
}

template <Score form>
void piece(const AttentionBack& a, Place from, Place to, const float* targets, float* carry) {
  each_stretch(a.graph, from, to, [&](const Stretch& s) {
    each_group(a.scores.heads, [&](Group g) {
      a.graph.index_bytes == 4 ? attend<form, std::int32_t>(a, s, targets, carry, g)
                               : attend<form, std::int64_t>(a, s, targets, carry, g);
    });
  });
}

}  // namespace

std::size_t attention_back_scratch(const AttentionBack& a) {
  const std::int64_t pieces = piece_count(a.graph, piece_steps(a.scores.heads * a.scores.features));
  return static_cast<std::size_t>(pieces * left_size(a) + 3 * a.graph.columns * a.scores.heads);
}

bool attention_back(const AttentionBack& a, float* scratch) {
  const std::int64_t width = a.scores.heads * a.scores.features;
  float* targets = scratch + piece_count(a.graph, piece_steps(width)) * left_size(a);
  prepare(a, targets);
  const auto run = [&](std::int64_t i, Place from, Place to) {
    float* carry = scratch + i * left_size(a);
    switch (a.scores.form) {
      case Score::additive:
        return piece<Score::additive>(a, from, to, targets, carry);
      case Score::dot:
        return piece<Score::dot>(a, from, to, targets, carry);
      case Score::mixed:
        return piece<Score::mixed>(a, from, to, targets, carry);
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
