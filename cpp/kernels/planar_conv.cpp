// Convolution of images of whole channels, each with its halo, with a matrix of single weights.
//
// An entry is the weight of one channel and tap, and stands for one distance in memory from every pixel. It is spread
// over all lanes and multiplied with L neighbouring pixels: V such vectors of R rows at a time, whose sums stay in
// registers while the entries of one output go by.
#include <utility>

#include "blocked_rows.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kSums = kRegisters == 32 ? 8 : 4;   // vectors of a tile
constexpr std::int64_t kOutputs = 32;             // that meet the same pixels one after the other, while these are near

// Every `apart`-th number from `x` on.
template <int L>
GOSSAMER_INLINE vec<L> load_apart(const float* x, std::integral_constant<std::int64_t, 1>) {
  return load<L>(x);
}

template <int L, int... lane>
GOSSAMER_INLINE vec<L> every_other(vec<L> first, vec<L> second, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(first, second, (2 * lane < L ? 2 * lane : 2 * lane + 1)...);
}

template <int L>
GOSSAMER_INLINE vec<L> load_apart(const float* x, std::integral_constant<std::int64_t, 2>) {
  if constexpr (L == 1) {
    return *x;
  } else {  // the second vector begins one early, so that nothing beyond the last number is read
    return every_other<L>(load<L>(x), load<L>(x + L - 1), std::make_integer_sequence<int, L>{});
  }
}

template <int L>
GOSSAMER_INLINE vec<L> load_apart(const float* x, std::int64_t apart) {
  float lanes[L];
  GOSSAMER_UNROLL
  for (int i = 0; i < L; ++i) lanes[i] = x[i * apart];
  return load<L>(lanes);
}

// Where R rows of a tile begin: of the input, of the first output, and of what is added to it.
template <int R>
struct Places {
  const float* x[R];
  float* out[R];
  const float* add[R];

  Places(const BlockedConvolution& c, std::int64_t row, std::int64_t column) {
    for (int r = 0; r < R; ++r) {
      const Row at = row_of(c.to, row + r);
      x[r] = first_tap(c, at, column);
      out[r] = c.out + pixel(c.to, at, column);
      add[r] = c.add == nullptr ? nullptr : c.add + pixel(c.added, at, column);
    }
  }
};

template <int L, int V, int R, class Apart>
void tile(const BlockedConvolution& c, const std::int32_t* place, std::int64_t output, const Places<R>& at, Apart apart) {
  constexpr int chains = R * V >= 4 ? 1 : 4 / (R * V);  // sums that hide the latency of an addition
  const auto* indices = static_cast<const std::int32_t*>(c.pattern.indices);
  const float* x[R];
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) x[r] = at.x[r];
  vec<L> sum[chains][R][V] = {};
  const auto accumulate = [&](std::int64_t e, vec<L>(&to)[R][V]) GOSSAMER_LAMBDA {
    const std::int64_t far = place[indices[e]];
    const float weight = c.values[e];
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      GOSSAMER_UNROLL
      for (int v = 0; v < V; ++v) to[r][v] += weight * load_apart<L>(x[r] + far + v * L * apart, apart);
    }
  };
  std::int64_t e = c.pattern.indptr[output];
  const std::int64_t end = c.pattern.indptr[output + 1];
  for (; e + chains <= end; e += chains) {
    GOSSAMER_UNROLL
    for (int j = 0; j < chains; ++j) accumulate(e + j, sum[j]);
  }
  for (; e < end; ++e) accumulate(e, sum[0]);
  const float bias = c.bias == nullptr ? 0.0f : c.bias[output];
  const std::int64_t out = output * c.to.plane(), add = output * c.added.plane();
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    GOSSAMER_UNROLL
    for (int v = 0; v < V; ++v) {
      vec<L> total = sum[0][r][v];
      GOSSAMER_UNROLL
      for (int j = 1; j < chains; ++j) total += sum[j][r][v];
      total += bias;
      if (c.add != nullptr) total += load<L>(at.add[r] + add + v * L);
      store<L>(at.out[r] + out + v * L, clamped<L>(total, c.low, c.high));
    }
  }
}

// Pixels [column, column + V L) of rows [row, end) of outputs [from, until).
template <int L, int V, int R, class Apart>
void strip(const BlockedConvolution& c, const std::int32_t* place, std::int64_t from, std::int64_t until, std::int64_t row,
           std::int64_t end, std::int64_t column, Apart apart) {
  for (; row + R <= end; row += R) {
    const Places<R> at(c, row, column);
    for (std::int64_t output = from; output < until; ++output) tile<L, V, R>(c, place, output, at, apart);
  }
  if constexpr (R > 1) strip<L, V, R / 2>(c, place, from, until, row, end, column, apart);
}

// All pixels of rows [row, end): vectors of L pixels, the last of which may overlap its neighbour; rows narrower than a
// vector take a narrower one.
template <int L, class Apart>
void rows(const BlockedConvolution& c, const std::int32_t* place, std::int64_t from, std::int64_t until, std::int64_t row,
          std::int64_t end, Apart apart) {
  const std::int64_t width = c.to.size[1];
  if constexpr (L > 1) {
    if (width < L) return rows<L / 2>(c, place, from, until, row, end, apart);
  }
  std::int64_t column = 0;
  for (; column + 2 * L <= width; column += 2 * L) strip<L, 2, kSums / 2>(c, place, from, until, row, end, column, apart);
  for (; column < width; column += L)
    strip<L, 1, kSums>(c, place, from, until, row, end, smaller(column, width - L), apart);
}

}  // namespace

bool planar_convolution(const BlockedConvolution& c, float* scratch) {
  auto* place = reinterpret_cast<std::int32_t*>(scratch);
  place_columns(c, place);
  if (!all_inside(static_cast<const std::int32_t*>(c.pattern.indices), c.pattern.entries, c.pattern.columns)) return false;
  const std::int64_t all = c.images * c.to.size[0], groups = ceil_div(c.pattern.rows, kOutputs), tiles = ceil_div(all, std::int64_t{kSums});
#pragma omp parallel for num_threads(c.threads) schedule(dynamic, 1) if (c.threads > 1 && c.pattern.entries * all * c.to.size[1] > 131072)
  for (std::int64_t item = 0; item < tiles * groups; ++item) {
    const FlushSubnormals flush;
    const std::int64_t row = item / groups * kSums, end = smaller(row + kSums, all);
    const std::int64_t from = item % groups * kOutputs, until = smaller(from + kOutputs, c.pattern.rows);
    if (c.stride[1] == 1) {
      rows<kLanes>(c, place, from, until, row, end, std::integral_constant<std::int64_t, 1>{});
    } else if (c.stride[1] == 2) {
      rows<kLanes>(c, place, from, until, row, end, std::integral_constant<std::int64_t, 2>{});
    } else {
      rows<kLanes>(c, place, from, until, row, end, c.stride[1]);
    }
    for (std::int64_t r = row; r < end; ++r) {
      const Row at = row_of(c.to, r);
      for (std::int64_t output = from; output < until; ++output)
        clear_halo(c.to, c.out + at.image * c.to.image() + output * c.to.plane(), at.y);
    }
  }
  return true;
}

}  // namespace gossamer::GOSSAMER_ISA
