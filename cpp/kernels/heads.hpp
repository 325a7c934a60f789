// What attention does in both directions: scores of a handful of entries, and sums of rows weighted by head.
//
// The numbers of up to `kLanes` heads stand side by side, entry after entry, padded to a power of two of slots, so that
// maxima, exponentials and sums run over whole vectors however many heads there are.
#pragma once

#include "columns.hpp"
#include "elements.hpp"
#include "neighbours.hpp"
#include "softmax.hpp"

namespace gossamer::GOSSAMER_ISA {

constexpr int kChunk = 32;  // entries whose scores are held at a time
constexpr int kHeld = kChunk * kLanes;

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

// Adds the parts of N numbers, W lanes each, and returns the N sums, over and over. Each step halves what is left of a
// number, and lays two vectors side by side as long as there are two.
template <int W, int by, int... lane>
GOSSAMER_INLINE vec<W> halved(vec<W> a, vec<W> b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane / by * 2 * by + lane % by)...) +
         __builtin_shufflevector(a, b, (lane / by * 2 * by + lane % by + by)...);
}

template <int W, int N = W, int by = W / 2>
GOSSAMER_INLINE vec<W> lane_sums(vec<W> (&parts)[N]) {
  constexpr std::make_integer_sequence<int, W> lanes;
  vec<W> half[N > 1 ? N / 2 : 1];
  GOSSAMER_UNROLL
  for (int i = 0; i < (N > 1 ? N / 2 : 1); ++i)
    half[i] = halved<W, by>(parts[N > 1 ? 2 * i : 0], parts[N > 1 ? 2 * i + 1 : 0], lanes);
  if constexpr (by > 1) {
    return lane_sums<W, (N > 1 ? N / 2 : 1), by / 2>(half);
  } else {
    return half[0];
  }
}

// Fills `part` (W) with the parts of Σ term(f) over `features` columns, where term gives vectors of columns from f on.
template <int W, class Term>
GOSSAMER_INLINE void sum_parts(std::int64_t features, const Term& term, float* part) {
  vec<W> sum{};
  std::int64_t f = 0;
  for (; f + W <= features; f += W) sum += term(f, std::integral_constant<int, W>{});
  store<W>(part, sum);
  for (; W > 4 && f + 4 <= features; f += 4)
    store<4>(part, load<4>(part) + term(f, std::integral_constant<int, 4>{}));
  for (; f < features; ++f) *part += term(f, std::integral_constant<int, 1>{});
}

GOSSAMER_INLINE float dot(const float* a, const float* b, std::int64_t features) {
  float part[kLanes];
  const auto product = [&](std::int64_t f, auto width) GOSSAMER_LAMBDA {
    return load<decltype(width)::value>(a + f) * load<decltype(width)::value>(b + f);
  };
  sum_parts<kLanes>(features, product, part);
  return lane_sum<kLanes>(load<kLanes>(part));
}

// Fills `to` (count, slots) with Σ_f term(entry, head, f) over the columns of a head, for the rows that entries pick;
// term gets the place of the row's columns too, and gives a vector of them.
template <class Index, class X, class Term>
GOSSAMER_INLINE void sum_rows(Group g, const Chunk<Index>& chunk, const X* rows, std::int64_t stride, std::int64_t features,
                              const Term& term, float* to) {
  const auto bytes = g.count * features * static_cast<std::int64_t>(sizeof(X));
  alignas(64) float parts[kLanes * kLanes];
  for (int i = 0; i < chunk.count * g.slots; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const int c = (i + lane) / g.slots, h = (i + lane) % g.slots;
      if (c >= chunk.count || h >= g.count) {
        store<kLanes>(parts + lane * kLanes, vec<kLanes>{});
        continue;
      }
      if (h == 0 && c + kAhead<X> < chunk.left)
        fetch(rows + static_cast<std::int64_t>(chunk.indices[c + kAhead<X>]) * stride, bytes);
      const X* row = rows + static_cast<std::int64_t>(chunk.indices[c]) * stride + h * features;
      sum_parts<kLanes>(
          features, [&](std::int64_t f, auto width) GOSSAMER_LAMBDA { return term(c, h, f, width, row + f); },
          parts + lane * kLanes);
    }
    vec<kLanes> all[kLanes];
    GOSSAMER_UNROLL
    for (int lane = 0; lane < kLanes; ++lane) all[lane] = load<kLanes>(parts + lane * kLanes);
    store<kLanes>(to + i, lane_sums<kLanes>(all));
  }
}

// Copies `count` numbers of each entry, which fill `slots` places: all of them where `count` is a constant.
template <class Index>
GOSSAMER_INLINE void pick_some(const float* from, std::int64_t stride, int count, int slots, const Chunk<Index>& chunk,
                               float* to) {
  for (int c = 0; c < chunk.count; ++c) {
    if (c + kAhead<float> < chunk.left)
      __builtin_prefetch(from + static_cast<std::int64_t>(chunk.indices[c + kAhead<float>]) * stride);
    const float* numbers = from + static_cast<std::int64_t>(chunk.indices[c]) * stride;
    for (int h = 0; h < count; ++h) to[c * slots + h] = numbers[h];
  }
}

// Copies what heads of a group have at each entry: numbers of the first head, `stride` apart between nodes, to
// (count, slots).
template <class Index>
GOSSAMER_INLINE void pick(const float* from, std::int64_t stride, Group g, const Chunk<Index>& chunk, float* to) {
  if (g.count == 1) return pick_some(from, stride, 1, 1, chunk, to);
  if (g.count == 4) return pick_some(from, stride, 4, 4, chunk, to);
  if (g.count == 8) return pick_some(from, stride, 8, 8, chunk, to);
  pick_some(from, stride, g.count, g.slots, chunk, to);
}

// Multiplies the numbers of each entry, (count, slots), by the factor of the row it picks.
template <class Index>
GOSSAMER_INLINE void scale_entries(const float* factors, Group g, const Chunk<Index>& chunk, float* numbers) {
  for (int c = 0; c < chunk.count; ++c)
    for (int h = 0; h < g.count; ++h) numbers[c * g.slots + h] *= factors[chunk.indices[c]];
}

// Returns the numbers of a group's heads, over and over.
GOSSAMER_INLINE vec<kLanes> tiled(const float* numbers, Group g) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = (i & (g.slots - 1)) < g.count ? numbers[i & (g.slots - 1)] : 0.0f;
  return load<kLanes>(lanes);
}

// Scores of a chunk's entries in row `row`, (count, slots); of additive ones only what the entry brings. Slots without a
// head keep or get a number.
template <Score form, class X, class Index>
GOSSAMER_INLINE void raw_scores(const Scores& s, std::int64_t row, Group g, const Chunk<Index>& chunk, float* to) {
  if constexpr (form == Score::additive) {
    static_cast<void>(row);
    pick(static_cast<const float*>(s.far) + g.first, s.heads, g, chunk, to);
  } else {
    const std::int64_t features = s.features, width = s.heads * features, first = g.first * features;
    const float* near = s.near + row * width + first;
    const X* far = static_cast<const X*>(s.far) + first;
    if constexpr (form == Score::dot) {
      const auto product = [&](int, int h, std::int64_t f, auto lanes, const X* other) GOSSAMER_LAMBDA {
        constexpr int W = decltype(lanes)::value;
        return s.scale * load<W>(near + h * features + f) * widen<W>(other);
      };
      sum_rows(g, chunk, far, width, features, product, to);
      if (s.far_scale) scale_entries(s.far_scale, g, chunk, to);
    } else {
      const float* mix = s.mix + first;
      const auto bend = [&](int c, int h, std::int64_t f, auto lanes, const X* other) GOSSAMER_LAMBDA {
        constexpr int W = decltype(lanes)::value;
        const float scale = s.far_scale ? s.far_scale[chunk.indices[c]] : 1.0f;
        return load<W>(mix + h * features + f) *
               leaky<W>(load<W>(near + h * features + f) + scale * widen<W>(other), s.slope);
      };
      sum_rows(g, chunk, far, width, features, bend, to);
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
template <class X, class Index>
struct WeightedSum {
  float* out;           // of the group's first head
  const float* factor;  // (slots)
  const float* weights;  // (count, slots)
  const X* rows;        // of the group's first head
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
      const X* rows = sum.rows;
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
        if (c + kAhead<X> < sum.chunk.left) {
          const X* next = rows + static_cast<std::int64_t>(sum.chunk.indices[c + kAhead<X>]) * stride;
          GOSSAMER_UNROLL
          for (int k = 0; k < N; ++k)
            if (k * W * sizeof(X) % 64 == 0) __builtin_prefetch(next + place[k]);
        }
        const X* from = rows + static_cast<std::int64_t>(sum.chunk.indices[c]) * stride;
        const float* weights = sum.weights + c * slots;
        GOSSAMER_UNROLL
        for (int k = 0; k < N; ++k) out[k] += weights[head[k]] * widen<W>(from + place[k]);
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
