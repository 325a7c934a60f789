// Convolution of blocked images with a matrix in blocks of H = 8 or 16 outputs that share their columns.
//
// As in block_matmul.cpp, the H weights of a stored column fill the lanes of a vector, and each is multiplied with one
// number of the input spread over all lanes: here for a tile of R rows of Q neighbouring pixels whose sums fill the
// registers. A column is a channel and a tap, and stands for one distance in memory from every pixel, halo included, so
// a dense matrix is no case of its own: it is the pattern that leaves nothing out.
#include "blocked_rows.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

template <int H>
inline constexpr int kWide = smaller(H, kLanes);
template <int H>
inline constexpr int kParts = H / kWide<H>;
template <int H>
inline constexpr int kPixels = smaller((kRegisters == 32 ? 24 : 12) / kParts<H>, 16);  // of a tile
constexpr int kMostRows = 8;                                                         // of a tile

// Rows of a tile whose rows have Q pixels: a power of two.
template <int H, int Q>
constexpr int kRows = Q * 8 <= kPixels<H> ? 8 : Q * 4 <= kPixels<H> ? 4 : Q * 2 <= kPixels<H> ? 2 : 1;

using Together = std::integral_constant<std::int64_t, kBlock>;  // pixels that are read are neighbours

// What one block of outputs does: its stored columns, where they begin, and where rows of pixels lie.
struct Work {
  const BlockedConvolution& c;
  const std::int32_t* place;
  std::int64_t begin, end;
  const float* bias;
  std::int64_t block, lane;  // of the result: of 16 channels, and the first of H within it
};

// `x`, `add` and `out` are where the first pixel of each of R rows lies; `add` may be null.
template <int H, int R, int Q, class Apart>
void tile(const Work& work, const float* const* x, Apart apart, const float* const* add, float* const* out) {
  constexpr int W = kWide<H>, parts = kParts<H>, sums_at_once = R * Q * parts;
  constexpr int chains = sums_at_once >= 6 ? 1 : ceil_div(8, sums_at_once);  // sums that hide the latency of an addition
  const auto* indices = static_cast<const std::int32_t*>(work.c.pattern.indices);
  const float* values = work.c.values;
  const float* rows[R];
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) rows[r] = x[r];
  vec<W> sum[chains][R][Q][parts] = {};
  const auto accumulate = [&](std::int64_t e, vec<W>(&to)[R][Q][parts]) GOSSAMER_LAMBDA {
    const std::int64_t at = work.place[indices[e]];
    vec<W> weights[parts];
    GOSSAMER_UNROLL
    for (int s = 0; s < parts; ++s) weights[s] = load<W>(values + e * H + s * W);
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      GOSSAMER_UNROLL
      for (int q = 0; q < Q; ++q) {
        const float number = rows[r][at + q * apart];
        GOSSAMER_UNROLL
        for (int s = 0; s < parts; ++s) to[r][q][s] += number * weights[s];
      }
    }
  };
  std::int64_t e = work.begin;
  for (; e + chains <= work.end; e += chains) {
    GOSSAMER_UNROLL
    for (int j = 0; j < chains; ++j) accumulate(e + j, sum[j]);
  }
  for (; e < work.end; ++e) accumulate(e, sum[0]);
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    GOSSAMER_UNROLL
    for (int q = 0; q < Q; ++q) {
      GOSSAMER_UNROLL
      for (int s = 0; s < parts; ++s) {
        vec<W> total = sum[0][r][q][s];
        GOSSAMER_UNROLL
        for (int j = 1; j < chains; ++j) total += sum[j][r][q][s];
        total += load<W>(work.bias + s * W);
        if (add != nullptr) total += load<W>(add[r] + q * kBlock + s * W);
        store<W>(out[r] + q * kBlock + s * W, clamped<W>(total, work.c.low, work.c.high));
      }
    }
  }
}

// Pixels [column, column + Q) of rows [row, end), R rows at a time, then half as many.
template <int H, int R, int Q, class Apart>
void strip(const Work& work, std::int64_t column, std::int64_t row, std::int64_t end, Apart apart) {
  const float *x[R], *add[R];
  float* out[R];
  for (; row + R <= end; row += R) {
    for (int r = 0; r < R; ++r) {
      const Row at = row_of(work.c.to, row + r);
      x[r] = first_tap(work.c, at, column);
      out[r] = work.c.out + work.block * work.c.to.plane() + pixel(work.c.to, at, column) + work.lane;
      if (work.c.add != nullptr)
        add[r] = work.c.add + work.block * work.c.added.plane() + pixel(work.c.added, at, column) + work.lane;
    }
    tile<H, R, Q>(work, x, apart, work.c.add == nullptr ? nullptr : add, out);
  }
  if constexpr (R > 1) strip<H, R / 2, Q>(work, column, row, end, apart);
}

template <int H, int Q, class Apart>
void choose_width(std::int64_t wide, const Work& work, std::int64_t column, std::int64_t row,
                  std::int64_t end, Apart apart) {
  if constexpr (Q > 1) {
    if (wide < Q) return choose_width<H, Q - 1>(wide, work, column, row, end, apart);
  }
  strip<H, smaller(kRows<H, Q>, kMostRows), Q>(work, column, row, end, apart);
}

// All pixels of rows [row, end): strips of columns of about equal width.
template <int H>
void chunk(const Work& work, std::int64_t row, std::int64_t end) {
  const std::int64_t width = work.c.to.size[1], strips = ceil_div(width, std::int64_t{kPixels<H>});
  for (std::int64_t i = 0, column = 0; i < strips; ++i) {
    const std::int64_t wide = (width - column) / (strips - i);
    if (work.c.stride[1] * work.c.from.block == kBlock) {
      choose_width<H, kPixels<H>>(wide, work, column, row, end, Together{});
    } else {
      choose_width<H, kPixels<H>>(wide, work, column, row, end, work.c.stride[1] * work.c.from.block);
    }
    column += wide;
  }
}

template <int H>
bool run_block(const BlockedConvolution& c, const std::int32_t* place, std::int64_t block, std::int64_t row,
               std::int64_t end) {
  const std::int64_t begin = c.pattern.indptr[block], stop = c.pattern.indptr[block + 1];
  if (!all_inside(static_cast<const std::int32_t*>(c.pattern.indices) + begin, stop - begin, c.pattern.columns)) return false;
  alignas(64) float bias[H] = {};
  const std::int64_t first = block * H;
  for (std::int64_t r = 0; c.bias != nullptr && r < smaller<std::int64_t>(H, c.to.channels - first); ++r) bias[r] = c.bias[first + r];
  chunk<H>({c, place, begin, stop, bias, first / kBlock, first % kBlock}, row, end);
  for (std::int64_t r = row; first % kBlock == 0 && r < end; ++r) {
    const Row at = row_of(c.to, r);
    clear_halo(c.to, c.out + at.image * c.to.image() + first / kBlock * c.to.plane(), at.y);
  }
  return true;
}

}  // namespace

std::size_t blocked_convolution_scratch(const BlockedConvolution& c) { return static_cast<std::size_t>(c.pattern.columns); }

bool blocked_convolution(const BlockedConvolution& c, float* scratch) {
  auto* place = reinterpret_cast<std::int32_t*>(scratch);
  place_columns(c, place);
  const std::int64_t rows = c.images * c.to.size[0], blocks = c.pattern.rows;
  const std::int64_t together = rows_together(rows, c.from.blocks() * c.from.pitch() * c.stride[0] * 4);
  const std::int64_t items = ceil_div(rows, together) * blocks;
  int bad = 0;
#pragma omp parallel for num_threads(c.threads) schedule(dynamic, 1) reduction(| : bad) \
    if (c.threads > 1 && c.pattern.entries * rows * c.to.size[1] > 16384)
  for (std::int64_t item = 0; item < items; ++item) {
    const FlushSubnormals flush;
    const std::int64_t row = item / blocks * together, end = smaller(row + together, rows);
    bad |= !(c.height == 8 ? run_block<8>(c, place, item % blocks, row, end) : run_block<16>(c, place, item % blocks, row, end));
  }
  return bad == 0;
}

}  // namespace gossamer::GOSSAMER_ISA
