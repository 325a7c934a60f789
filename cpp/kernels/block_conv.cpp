// Convolution with a matrix in blocks of R = 8 or 16 outputs that share their taps, and its gradients, without patches.
//
// A stored column is R weights for one channel and tap. As in block_matmul.cpp they fill the lanes of a vector, each
// multiplied with one number of the input spread over all lanes, for a run of pixels (planes.hpp); the gradients stream
// the stored columns past vectors that are held (held.hpp).
#include "block_sums.hpp"
#include "convolution.hpp"
#include "held.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

// Sums one block for `count` pixels from `x` on, or for a few more: `out` is (count, R).
template <int R, int N, class Index>
void choose_count(int count, const Convolution& c, const std::int64_t* place, std::int64_t block, const float* x,
                  const float* bias, float* out) {
  if constexpr (N > kStep<R>) {
    if (count <= N - kStep<R>) return choose_count<R, N - kStep<R>, Index>(count, c, place, block, x, bias, out);
  }
  const auto* indices = static_cast<const Index*>(c.pattern.indices);
  block_sums<R, N>(
      c.values, c.pattern.indptr[block], c.pattern.indptr[block + 1],
      [&](std::int64_t k) { return x + place[indices[k]]; }, std::integral_constant<int, 1>{}, bias, c.relu, out, R);
}

template <int R, class Index>
bool forward(const Convolution& c, float* scratch) {
  if (!sound<Index>(c)) return false;
  const Planes planes(c.shape);
  const Workspace work = workspace(c, planes, scratch);
  planes.place_columns(work.place);
  convolve(c, planes, work, [&](std::int64_t from, std::int64_t begin, std::int64_t end, const float* image, float* rows) {
    alignas(64) float bias[R], sums[kExamples<R> * R];
    const std::int64_t tiles = ceil_div(end - begin, kExamples<R>);
    const std::int64_t tile = ceil_div(ceil_div(end - begin, tiles), kStep<R>) * kStep<R>;
    for (std::int64_t row = from; row < smaller(from + kGroup, c.outputs); row += R, rows += R * (kChunk + kWidest)) {
      for (int r = 0; r < R; ++r) bias[r] = c.bias != nullptr && row + r < c.outputs ? c.bias[row + r] : 0.0f;
      for (std::int64_t p = begin; p < end; p += tile) {
        const std::int64_t count = smaller(tile, ceil_div(end - p, kStep<R>) * kStep<R>);
        choose_count<R, kExamples<R>, Index>(static_cast<int>(count), c, work.place, row / R, image + p, bias, sums);
        transpose(rows + p - begin, kChunk + kWidest, sums, R, count, R);
      }
    }
  });
  return true;
}

template <int R, class Index>
bool input(const Convolution& c, float* scratch) {
  if (!sound<Index>(c)) return false;
  const Planes planes(c.shape);
  const Workspace work = workspace(c, planes, scratch);
  const auto* indices = static_cast<const Index*>(c.pattern.indices);
  const std::int64_t length = run_length(planes);
  planes.place_columns(work.place);
  input_gradient(c, planes, work, [&](const float* flow, float* image, float* runs) {
    for (std::int64_t block = 0; block < c.pattern.rows; ++block) {
      lay_out_flow(c, planes, flow, block * R, R, runs);
      for (std::int64_t p = 0; p < planes.run(); p += kLanes)
        stream<kLanes, R>(
            runs + p, length, c.pattern.indptr[block], c.pattern.indptr[block + 1],
            [&](std::int64_t k) { return c.values + k * R; },
            [&](std::int64_t k) { return image + work.place[indices[k]] + p; });
    }
  });
  return true;
}

template <int R, class Index>
bool values(const Convolution& c, float* scratch) {
  if (!sound<Index>(c)) return false;
  const Planes planes(c.shape);
  const Workspace work = workspace(c, planes, scratch);
  const auto* indices = static_cast<const Index*>(c.pattern.indices);
  const std::int64_t length = run_length(planes);
  planes.place_columns(work.place);
  planes.clear_slack(work.images);
  if (c.pattern.entries > 0) __builtin_memset(c.out, 0, c.pattern.entries * R * sizeof(float));
  values_gradient(c, planes, work, [&](std::int64_t from, const float* flow, const float* image, float* runs) {
    for (std::int64_t row = from; row < smaller(from + kGroup, c.outputs); row += R) {
      lay_out_flow(c, planes, flow, row, R, runs);
      for (std::int64_t p = 0; p < planes.run(); p += 16) {
        alignas(64) float turned[16 * R];
        transpose(turned, R, runs + p, length, R, 16);
        stream_rows<R>(
            turned, R, c.pattern.indptr[row / R], c.pattern.indptr[row / R + 1],
            [&](std::int64_t k) { return image + work.place[indices[k]] + p; },
            [&](std::int64_t k) { return c.out + k * R; });
      }
    }
  });
  return true;
}

}  // namespace

std::size_t conv_scratch(const Convolution& c) {
  const Planes planes(c.shape);
  const std::int64_t images = larger<std::int64_t>(group_size(c, planes), c.threads);
  return static_cast<std::size_t>(place_floats(planes) + images * planes.image() +
                                  c.threads * kGroup * run_length(planes));
}

bool block_conv(const Convolution& c, float* scratch) {
  if (c.pattern.index_bytes == 4)
    return c.height == 8 ? forward<8, std::int32_t>(c, scratch) : forward<16, std::int32_t>(c, scratch);
  return c.height == 8 ? forward<8, std::int64_t>(c, scratch) : forward<16, std::int64_t>(c, scratch);
}

bool block_conv_input(const Convolution& c, float* scratch) {
  if (c.pattern.index_bytes == 4)
    return c.height == 8 ? input<8, std::int32_t>(c, scratch) : input<16, std::int32_t>(c, scratch);
  return c.height == 8 ? input<8, std::int64_t>(c, scratch) : input<16, std::int64_t>(c, scratch);
}

bool block_conv_values(const Convolution& c, float* scratch) {
  if (c.pattern.index_bytes == 4)
    return c.height == 8 ? values<8, std::int32_t>(c, scratch) : values<16, std::int32_t>(c, scratch);
  return c.height == 8 ? values<8, std::int64_t>(c, scratch) : values<16, std::int64_t>(c, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
