// Convolution with a matrix in blocks of 16 outputs that share their taps, and its gradients, without patches.
//
// A stored column is 16 weights for one channel and tap. As in block_matmul.cpp they fill the lanes of a vector, each
// multiplied with one number of the input spread over all lanes, for a run of pixels (planes.hpp); the gradients stream
// the stored columns past 16 vectors that are held (held.hpp).
#include "convolution.hpp"
#include "held.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kStep = kExamples % 4 == 0 ? 4 : (kExamples % 2 == 0 ? 2 : 1);  // run lengths with code of their own

// Sums one block for `count` pixels from `x` on, or for a few more: `out` is (count, 16).
template <int N, class Index>
void choose_count(int count, const Convolution& c, const std::int64_t* place, std::int64_t block, const float* x,
                  const float* bias, float* out) {
  if constexpr (N > kStep) {
    if (count <= N - kStep) return choose_count<N - kStep, Index>(count, c, place, block, x, bias, out);
  }
  const auto* indices = static_cast<const Index*>(c.pattern.indices);
  block_sums<N>(
      c.values, c.pattern.indptr[block], c.pattern.indptr[block + 1],
      [&](std::int64_t k) { return x + place[indices[k]]; }, bias, out, kRows);
}

template <class Index>
bool forward(const Convolution& c, float* scratch) {
  if (!sound<Index>(c)) return false;
  const Planes planes(c.shape);
  const Workspace work = workspace(c, planes, scratch);
  planes.place_columns(work.place);
  convolve(c, planes, work, [&](std::int64_t row, std::int64_t begin, std::int64_t end, const float* image, float* rows) {
    alignas(64) float bias[kRows] = {}, sums[kExamples * kRows];
    if (c.bias != nullptr) __builtin_memcpy(bias, c.bias + row, smaller(kRows, c.outputs - row) * sizeof(float));
    const std::int64_t tiles = ceil_div(end - begin, kExamples);
    const std::int64_t tile = ceil_div(ceil_div(end - begin, tiles), kStep) * kStep;
    for (std::int64_t p = begin; p < end; p += tile) {
      const std::int64_t count = smaller(tile, ceil_div(end - p, kStep) * kStep);
      choose_count<kExamples, Index>(static_cast<int>(count), c, work.place, row / kRows, image + p, bias, sums);
      if (c.relu) rectify(sums, count * kRows);
      transpose(rows + p - begin, kChunk + kWidest, sums, kRows, count, kRows);
    }
  });
  return true;
}

template <class Index>
bool input(const Convolution& c, float* scratch) {
  if (!sound<Index>(c)) return false;
  const Planes planes(c.shape);
  const Workspace work = workspace(c, planes, scratch);
  const auto* indices = static_cast<const Index*>(c.pattern.indices);
  const std::int64_t length = run_length(planes);
  planes.place_columns(work.place);
  input_gradient(c, planes, work, [&](const float* flow, float* image, float* runs) {
    for (std::int64_t block = 0; block < c.pattern.rows; ++block) {
      lay_out_flow(c, planes, flow, block * kRows, runs);
      for (std::int64_t p = 0; p < planes.run(); p += kLanes)
        stream<kLanes>(
            runs + p, length, c.pattern.indptr[block], c.pattern.indptr[block + 1],
            [&](std::int64_t k) { return c.values + k * kRows; },
            [&](std::int64_t k) { return image + work.place[indices[k]] + p; });
    }
  });
  return true;
}

template <class Index>
bool values(const Convolution& c, float* scratch) {
  if (!sound<Index>(c)) return false;
  const Planes planes(c.shape);
  const Workspace work = workspace(c, planes, scratch);
  const auto* indices = static_cast<const Index*>(c.pattern.indices);
  const std::int64_t length = run_length(planes);
  planes.place_columns(work.place);
  planes.clear_slack(work.images);
  if (c.pattern.entries > 0) __builtin_memset(c.out, 0, c.pattern.entries * kRows * sizeof(float));
  values_gradient(c, planes, work, [&](std::int64_t row, const float* flow, const float* image, float* runs) {
    const std::int64_t block = row / kRows;
    lay_out_flow(c, planes, flow, row, runs);
    for (std::int64_t p = 0; p < planes.run(); p += 16) {
      alignas(64) float turned[16 * kRows];
      transpose(turned, kRows, runs + p, length, kRows, 16);
      stream_rows(
          turned, kRows, c.pattern.indptr[block], c.pattern.indptr[block + 1],
          [&](std::int64_t k) { return image + work.place[indices[k]] + p; },
          [&](std::int64_t k) { return c.out + k * kRows; });
    }
  });
  return true;
}

}  // namespace

std::size_t conv_scratch(const Convolution& c) {
  const Planes planes(c.shape);
  const std::int64_t images = larger<std::int64_t>(group_size(c, planes), c.threads);
  return static_cast<std::size_t>(place_floats(planes) + images * planes.image() +
                                  c.threads * kRows * run_length(planes));
}

bool block_conv(const Convolution& c, float* scratch) {
  return c.pattern.index_bytes == 4 ? forward<std::int32_t>(c, scratch) : forward<std::int64_t>(c, scratch);
}

bool block_conv_input(const Convolution& c, float* scratch) {
  return c.pattern.index_bytes == 4 ? input<std::int32_t>(c, scratch) : input<std::int64_t>(c, scratch);
}

bool block_conv_values(const Convolution& c, float* scratch) {
  return c.pattern.index_bytes == 4 ? values<std::int32_t>(c, scratch) : values<std::int64_t>(c, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
