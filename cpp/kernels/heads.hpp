// What attention does in both directions: scores of a handful of entries, and sums of rows weighted by head.
//
// The numbers of up to `kLanes` heads stand side by side, entry after entry, padded to a power of two of slots, so that
// maxima, exponentials and sums run over whole vectors however many heads there are.
#pragma once

#include "columns.hpp"
#include "neighbours.hpp"
#include "softmax.hpp"

namespace gossamer::GOSSAMER_ISA {

constexpr int kChunk = 32;  // entries whose scores are held at a time
constexpr int kHeld = kChunk * kLanes;
constexpr int kFetch = 12;  // entries between a fetch and its use

// Heads that are computed together.
struct Group {
  std::int64_t first;
  int count;
  int slots;
};

template <class Body>
GOSSAMER_INLINE void each_group(std::int64_t heads, const Body& body) {
  for (std::int64_t first = 0; first < heads; first += kLanes) {
    const int count = static_cast<int>(smaller<std::int64_t>(heads - first, kLanes));
    int slots = 1;
    while (slots < count) slots *= 2;
    body(Group{first, count, slots});
  }
}

// Entries `begin` to `begin + count` of a row, at most kChunk of them.
template <class Index>
struct Chunk {
  const Index* indices;  // of the first entry
  std::int64_t begin;
  int count;
  std::int64_t left;  // entries from the first to the end of the matrix
};

// Calls `body(i)` for the start of every vector of a chunk's numbers.
template <class Body>
GOSSAMER_INLINE void each_vector(int count, int slots, const Body& body) {
  for (int i = 0; i < count * slots; i += kLanes) body(i);
}

// Fills the last vector of a chunk's numbers, beyond the last of them.
GOSSAMER_INLINE void pad(float* numbers, int count, int slots, float value) {
  for (int i = count * slots; i % kLanes; ++i) numbers[i] = value;
}

template <int W>
GOSSAMER_INLINE vec<W> leaky(vec<W> z, float slope) {
  return z > 0 ? z : z * slope;
}

// Σ term(f) over `features` columns, where term gives vectors of W columns from f on.
template <int W, class Term>
GOSSAMER_INLINE float sum_columns(std::int64_t features, const Term& term) {
  std::int64_t f = 0;
  float out = 0.0f;
  if (features >= W) {
    vec<W> sum{};
    for (; f + W <= features; f += W) sum += term(f, std::integral_constant<int, W>{});
    out = lane_sum<W>(sum);
  }
  if constexpr (W > 1) {
    if (f < features)
      out += sum_columns<(W > 4 ? W / 2 : 1)>(features - f, [&](std::int64_t g, auto width) { return term(f + g, width); });
  }
  return out;
}

GOSSAMER_INLINE float dot(const float* a, const float* b, std::int64_t features) {
  return sum_columns<kLanes>(features, [&](std::int64_t f, auto width) {
    return load<decltype(width)::value>(a + f) * load<decltype(width)::value>(b + f);
  });
}

// Copies `count` numbers of each entry, which fill `slots` places: all of them where `count` is a constant.
template <class Index>
GOSSAMER_INLINE void pick_some(const float* from, std::int64_t heads, int count, int slots, const Chunk<Index>& chunk,
                               float* to) {
  for (int c = 0; c < chunk.count; ++c) {
    if (c + kFetch < chunk.left)
      __builtin_prefetch(from + static_cast<std::int64_t>(chunk.indices[c + kFetch]) * heads);
    const float* numbers = from + static_cast<std::int64_t>(chunk.indices[c]) * heads;
    for (int h = 0; h < count; ++h) to[c * slots + h] = numbers[h];
  }
}

// Copies what heads of a group have at each entry: numbers (nodes, heads) to (count, slots).
template <class Index>
GOSSAMER_INLINE void pick(const float* numbers, std::int64_t heads, Group g, const Chunk<Index>& chunk, float* to) {
  const float* from = numbers + g.first;
  if (g.count == 1) return pick_some(from, heads, 1, 1, chunk, to);
  if (g.count == 4) return pick_some(from, heads, 4, 4, chunk, to);
  if (g.count == 8) return pick_some(from, heads, 8, 8, chunk, to);
  pick_some(from, heads, g.count, g.slots, chunk, to);
}

// Returns the numbers of a group's heads, over and over.
GOSSAMER_INLINE vec<kLanes> tiled(const float* numbers, Group g) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = (i & (g.slots - 1)) < g.count ? numbers[i & (g.slots - 1)] : 0.0f;
  return load<kLanes>(lanes);
}

// Scores of a chunk's entries in row `row`, (count, slots); of additive ones only what the entry brings. Slots without a
// head keep what they hold, which must be a number.
template <Score form, class Index>
GOSSAMER_INLINE void raw_scores(const Scores& s, std::int64_t row, Group g, const Chunk<Index>& chunk, float* to) {
  if constexpr (form == Score::additive) {
    static_cast<void>(row);
    pick(s.far, s.heads, g, chunk, to);
  } else {
    for (int c = 0; c < chunk.count; ++c) {
      const std::int64_t other = static_cast<std::int64_t>(chunk.indices[c]);
      for (int h = 0; h < g.count; ++h) {
        const float* near = s.near + (row * s.heads + g.first + h) * s.features;
        const float* far = s.far + (other * s.heads + g.first + h) * s.features;
        if constexpr (form == Score::dot) {
          to[c * g.slots + h] = s.scale * dot(near, far, s.features);
        } else {
          const float* mix = s.mix + (g.first + h) * s.features;
          to[c * g.slots + h] = sum_columns<kLanes>(s.features, [&](std::int64_t f, auto width) {
            constexpr int W = decltype(width)::value;
            return load<W>(mix + f) * leaky<W>(load<W>(near + f) + load<W>(far + f), s.slope);
          });
        }
      }
    }
  }
}

// Multiplies the weights of an entry by zero or by `boost`, each by a hash of its place: "murmur3"'s last mixing step.
GOSSAMER_INLINE void drop(const Scores& s, std::int64_t entry, Group g, float* weights) {
  for (int h = 0; h < g.count; ++h) {
    const std::uint64_t place = static_cast<std::uint64_t>(entry * s.heads + g.first + h);
    std::uint32_t x = static_cast<std::uint32_t>(place) ^ (static_cast<std::uint32_t>(place >> 32) * 0x9e3779b9u) ^ s.seed;
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    x ^= x >> 16;
    weights[h] *= x < s.dropped ? 0.0f : s.boost;
  }
}

// out[h, f] = factor[h] · out[h, f] + Σ_c weights[c, h] · rows[indices[c], h, f] for the heads of a group: see `run`.
template <class Index>
struct WeightedSum {
  float* out;           // of the group's first head
  const float* factor;  // (slots)
  const float* weights;  // (count, slots)
  const float* rows;    // of the group's first head
  std::int64_t stride;  // between rows
  std::int64_t features;
  Group group;
  Chunk<Index> chunk;

  // Columns from `column` on, in vectors of W and then of fewer.
  template <int W>
  void columns(std::int64_t column) const {
    const std::int64_t each = (features - column) / W;
    Vectors<W> vectors{};
    for (int h = 0; h < group.count; ++h)
      for (std::int64_t v = 0; v < each; ++v) {
        vectors.place[vectors.count] = h * features + column + v * W;
        vectors.head[vectors.count] = h;
        if (++vectors.count == kMost) flush(vectors);
      }
    if (vectors.count > 0) flush(vectors);
    column += each * W;
    if constexpr (W > 1) {
      if (column < features) columns<(W > 4 ? W / 2 : 1)>(column);
    }
  }

 private:
  static constexpr int kMost = 8;

  template <int W>
  struct Vectors {
    int count;
    std::int64_t place[kMost];
    int head[kMost];
  };

  template <int W>
  struct Pass {
    const WeightedSum& sum;
    const Vectors<W>& vectors;

    template <int, int N>
    bool run(const Block&) const {
      const float* rows = sum.rows;
      const std::int64_t stride = sum.stride;
      const int slots = sum.group.slots, count = sum.chunk.count;
      std::int64_t place[N];
      int head[N];
      vec<W> out[N];
      GOSSAMER_UNROLL
      for (int k = 0; k < N; ++k) {
        place[k] = vectors.place[k];
        head[k] = vectors.head[k];
        out[k] = load<W>(sum.out + place[k]) * sum.factor[head[k]];
      }
      for (int c = 0; c < count; ++c) {
        if (c + kFetch < sum.chunk.left) {
          const float* next = rows + static_cast<std::int64_t>(sum.chunk.indices[c + kFetch]) * stride;
          GOSSAMER_UNROLL
          for (int k = 0; k < N; ++k) __builtin_prefetch(next + place[k]);
        }
        const float* from = rows + static_cast<std::int64_t>(sum.chunk.indices[c]) * stride;
        const float* weights = sum.weights + c * slots;
        GOSSAMER_UNROLL
        for (int k = 0; k < N; ++k) out[k] += weights[head[k]] * load<W>(from + place[k]);
      }
      GOSSAMER_UNROLL
      for (int k = 0; k < N; ++k) store<W>(sum.out + place[k], out[k]);
      return true;
    }
  };

  template <int W>
  void flush(Vectors<W>& vectors) const {
    run_block<W, kMost>(Block{vectors.count, 0, 0}, Pass<W>{*this, vectors});
    vectors.count = 0;
  }
};

}  // namespace gossamer::GOSSAMER_ISA
