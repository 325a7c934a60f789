// Softmax attention over the neighbours of each node, scores included, in one pass over the edges.
//
// A row's entries are taken in chunks. Scores are made where they are used; the running maximum, the sum of exponentials
// and the weighted sum of values are corrected whenever the maximum rises, as in Milakov and Gimelshein, "Online normalizer
// calculation for softmax", 2018, and Dao et al., "FlashAttention", NeurIPS 2022, here over the neighbours of a graph. So
// nothing of the size of the edges is kept. Rows that pieces share are put together with the same correction.
#include "heads.hpp"
#include "stretches.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr float kLeast = -__builtin_inff();
typedef vec<kLanes> Lanes;

// What a piece leaves in its scratch: the sum, maximum and total of a row that it continues, and the maximum and total of a
// row that it leaves to the next piece.
struct Left {
  float* sum;
  float* top;
  float* total;
  float* open_top;
  float* open_total;
};

std::int64_t left_size(const Attention& a) { return a.scores.heads * (a.scores.features + 4); }

Left left(const Attention& a, float* scratch, std::int64_t piece) {
  const std::int64_t heads = a.scores.heads;
  float* sum = scratch + piece * left_size(a);
  float* rest = sum + heads * a.scores.features;
  return {sum, rest, rest + heads, rest + 2 * heads, rest + 3 * heads};
}

// Divides the sum of a head by its total and notes both.
void normalize(const Attention& a, std::int64_t row, std::int64_t head, float top, float total) {
  float* out = a.out + (row * a.scores.heads + head) * a.scores.features;
  const float factor = 1.0f / total;
  for (std::int64_t f = 0; f < a.scores.features; ++f) out[f] *= factor;
  a.tops[row * a.scores.heads + head] = top;
  a.totals[row * a.scores.heads + head] = total;
}

template <Score form, class X, class Index>
void attend(const Attention& a, const Stretch& s, const Left& left, Group g) {
  const std::int64_t heads = a.scores.heads, features = a.scores.features;
  const auto* indices = static_cast<const Index*>(a.graph.indices);
  float* out = (s.continued ? left.sum : a.out + s.row * heads * features) + g.first * features;
  for (std::int64_t f = 0; f < g.count * features; ++f) out[f] = 0.0f;
  alignas(64) float held[kHeld], factor[kLanes];
  const auto reach = smaller<std::int64_t>(s.end - s.begin, kChunk) * g.slots + kLanes;  // what will be read
  for (int i = 0; i < kHeld && i < reach; ++i) held[i] = 0.0f;
  Lanes top = Lanes{} + kLeast, total = {}, near = {};
  if constexpr (form == Score::additive) near = tiled(a.scores.near + s.row * heads + g.first, g);
  for (std::int64_t e = s.begin; e < s.end; e += kChunk) {
    const Chunk<Index> chunk{indices + e, e, static_cast<int>(smaller<std::int64_t>(s.end - e, kChunk)),
                             a.graph.entries - e};
    raw_scores<form, X>(a.scores, s.row, g, chunk, held);
    pad(held, chunk.count, g.slots, kLeast);
    Lanes highest = Lanes{} + kLeast;
    each_vector(chunk.count, g.slots, [&](int i) GOSSAMER_LAMBDA {
      Lanes score = load<kLanes>(held + i);
      if constexpr (form == Score::additive) {
        score = leaky<kLanes>(score + near, a.scores.slope);
        store<kLanes>(held + i, score);
      }
      highest = larger_or_nan<kLanes>(score, highest);
    });
    highest = fold<kLanes>(highest, g.slots, larger_or_nan<kLanes>);
    highest = larger_or_nan<kLanes>(top, highest);
    const Lanes correction = exponential<kLanes>(top - highest);
    top = highest;
    Lanes added = {};
    each_vector(chunk.count, g.slots, [&](int i) GOSSAMER_LAMBDA {
      const Lanes weight = exponential<kLanes>(load<kLanes>(held + i) - top);
      store<kLanes>(held + i, weight);
      added += weight;
    });
    total = total * correction + fold<kLanes>(added, g.slots, [](Lanes x, Lanes y) { return x + y; });
    if (a.scores.dropped)
      for (int c = 0; c < chunk.count; ++c) drop(a.scores, e + c, g, held + c * g.slots);
    if (a.values_scale) scale_entries(a.values_scale, g, chunk, held);
    store<kLanes>(factor, correction);
    const X* values = static_cast<const X*>(a.values) + g.first * features;
    WeightedSum<X, Index>{out, factor, held, values, heads * features, features, g, chunk}.template columns<kLanes>(0);
  }
  float tops[kLanes], totals[kLanes];
  store<kLanes>(tops, top);
  store<kLanes>(totals, total);
  for (int h = 0; h < g.count; ++h) {
    const std::int64_t head = g.first + h;
    if (s.continued) {
      left.top[head] = tops[h];
      left.total[head] = totals[h];
    } else if (!s.finished) {
      left.open_top[head] = tops[h];
      left.open_total[head] = totals[h];
    } else if (s.begin < s.end) {
      normalize(a, s.row, head, tops[h], totals[h]);
    } else {
      a.tops[s.row * heads + head] = a.totals[s.row * heads + head] = 0.0f;
    }
  }
}

template <Score form, class X>
void piece(const Attention& a, Place from, Place to, const Left& left) {
  each_stretch(a.graph, from, to, [&](const Stretch& s) {
    each_group(a.scores.heads, [&](Group g) {
      a.graph.index_bytes == 4 ? attend<form, X, std::int32_t>(a, s, left, g) : attend<form, X, std::int64_t>(a, s, left, g);
    });
  });
}

// Takes what piece `i` holds of a row into what the pieces before it have made of it.
void merge(const Attention& a, const Stretch& s, const Left& mine, const Left& before) {
  for (std::int64_t head = 0; head < a.scores.heads; ++head) {
    const float top = larger_or_nan<1>(mine.top[head], before.open_top[head]);
    const float there = exponential<1>(before.open_top[head] - top), here = exponential<1>(mine.top[head] - top);
    const float total = before.open_total[head] * there + mine.total[head] * here;
    float* out = a.out + (s.row * a.scores.heads + head) * a.scores.features;
    const float* sum = mine.sum + head * a.scores.features;
    for (std::int64_t f = 0; f < a.scores.features; ++f) out[f] = out[f] * there + sum[f] * here;
    if (s.finished) {
      normalize(a, s.row, head, top, total);
    } else {
      mine.open_top[head] = top;
      mine.open_total[head] = total;
    }
  }
}

}  // namespace

std::size_t attention_scratch(const Attention& a) {
  const std::int64_t pieces = piece_count(a.graph, piece_steps(a.scores.heads * a.scores.features));
  return static_cast<std::size_t>(pieces * left_size(a));
}

bool attention(const Attention& a, float* scratch) {
  const auto run = [&](std::int64_t i, Place from, Place to) {
    const Left to_left = left(a, scratch, i);
    with_element(a.element, a.values, [&](const auto* values) {
      using X = std::decay_t<decltype(*values)>;
      switch (a.scores.form) {
        case Score::additive:
          return piece<Score::additive, X>(a, from, to, to_left);
        case Score::dot:
          return piece<Score::dot, X>(a, from, to, to_left);
        case Score::mixed:
          return piece<Score::mixed, X>(a, from, to, to_left);
      }
    });
  };
  return run_pieces(a.graph, piece_steps(a.scores.heads * a.scores.features), a.threads, run,
                    [&](std::int64_t i, const Stretch& s) {
                      merge(a, s, left(a, scratch, i), left(a, scratch, i - 1));
                    });
}

}  // namespace gossamer::GOSSAMER_ISA
