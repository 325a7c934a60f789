// Attention between tokens: a few queries at a time, so that their scores against all keys stay in cache.
//
// Keys and values of one head are laid out as panels once; then each group of kTileRows queries is multiplied with all
// keys, goes through softmax, and is multiplied with all values. Nothing of size queries x keys is kept.
#include "matrix_tile.hpp"
#include "row_softmax.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

std::int64_t padded(std::int64_t count) { return ceil_div(count, kPanel) * kPanel; }

// What one thread borrows: keys, values and the scores of a group of queries.
std::int64_t floats_a_thread(const TokenAttention& p) {
  return p.depth * padded(p.n) + p.n * padded(p.width) + kTileRows * padded(p.n);
}

void attend(const TokenAttention& p, std::int64_t which, std::int64_t i, const float* keys, const float* values,
            float* scores) {
  const std::int64_t rows = smaller<std::int64_t>(kTileRows, p.m - i), wide = padded(p.n);
  const float* q = matrix(p.q, which, p.inner) + i * p.q.row;
  for (std::int64_t from = 0; from < p.n; from += kPanel)
    tile_rows<kTileRows>(rows, q, p.q.row, p.q.column, keys + from * p.depth, p.depth, p.scale, scores + from, wide, kPanel);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* line = scores + r * wide;
    if (p.mask.data != nullptr) {
      const float* mask = matrix(p.mask, which, p.inner) + (i + r) * p.mask.row;
      for (std::int64_t j = 0; j < p.n; ++j) line[j] += mask[j * p.mask.column];
    }
    for (std::int64_t j = i + r + 1; p.causal && j < p.n; ++j) line[j] = -__builtin_inff();
    softmax_row(line, p.n, line);
  }
  float* out = p.out + (which * p.m + i) * p.width;
  for (std::int64_t from = 0; from < p.width; from += kPanel)
    tile_rows<kTileRows>(rows, scores, wide, 1, values + from * p.n, p.n, 1.0f, out + from, p.width,
                         smaller(kPanel, p.width - from));
}

}  // namespace

std::size_t token_attention_scratch(const TokenAttention& p) {
  return static_cast<std::size_t>(p.threads * floats_a_thread(p));
}

void token_attention(const TokenAttention& p, float* scratch) {
  const std::int64_t heads = p.outer * p.inner;
  const int threads = static_cast<int>(larger<std::int64_t>(smaller<std::int64_t>(p.threads, heads), 1));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && heads * p.m * p.n > 4096)
  for (int t = 0; t < threads; ++t) {
    const FlushSubnormals flush;
    float* keys = scratch + t * floats_a_thread(p);
    float* values = keys + p.depth * padded(p.n);
    float* scores = values + p.n * padded(p.width);
    for (std::int64_t which = t * heads / threads; which < (t + 1) * heads / threads; ++which) {
      const float *k = matrix(p.k, which, p.inner), *v = matrix(p.v, which, p.inner);
      for (std::int64_t from = 0; from < p.n; from += kPanel)
        lay_out_panel(k, p.k.column, p.k.row, p.depth, p.n, from, keys + from * p.depth);
      for (std::int64_t from = 0; from < p.width; from += kPanel)
        lay_out_panel(v, p.v.row, p.v.column, p.n, p.width, from, values + from * p.n);
      for (std::int64_t i = 0; i < p.m; i += kTileRows) attend(p, which, i, keys, values, scores);
    }
  }
}

}  // namespace gossamer::GOSSAMER_ISA
