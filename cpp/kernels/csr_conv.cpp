// Convolution with a CSR matrix, and its gradients, without patches: an entry is the weight of one channel and tap, and
// the vectors are runs of pixels (planes.hpp).
#include "convolution.hpp"
#include "row_sums.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kVectors = 4;  // of pixels that one walk serves
constexpr std::int64_t kTile = kVectors * kLanes;
static_assert(kTile <= kWidest && kTile <= kSlack);

template <class Index>
bool forward(const Convolution& c, float* scratch) {
  if (!sound<Index>(c)) return false;
  const Planes planes(c.shape);
  const Workspace work = workspace(c, planes, scratch);
  const auto* indices = static_cast<const Index*>(c.pattern.indices);
  planes.place_columns(work.place);
  convolve(c, planes, work, [&](std::int64_t row, std::int64_t begin, std::int64_t end, const float* image, float* rows) {
    for (std::int64_t r = row; r < smaller(row + kGroup, c.outputs); ++r) {
      const float bias = c.bias == nullptr ? 0.0f : c.bias[r];
      float* out = rows + (r - row) * (kChunk + kWidest);
      for (std::int64_t p = begin; p < end; p += kTile) {
        row_sums<kLanes, kVectors>(
            c.values, c.pattern.indptr[r], c.pattern.indptr[r + 1],
            [&](std::int64_t e) { return image + work.place[indices[e]] + p; }, bias, c.relu, out + p - begin);
      }
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
  const std::int64_t pixels = c.shape.out_size[0] * c.shape.out_size[1], length = run_length(planes);
  planes.place_columns(work.place);
  input_gradient(c, planes, work, [&](const float* flow, float* image, float* run) {
    for (std::int64_t r = 0; r < c.outputs; ++r) {
      planes.lay_out_run(flow + r * pixels, length, run);
      for (std::int64_t e = c.pattern.indptr[r]; e < c.pattern.indptr[r + 1]; ++e) {
        float* sums = image + work.place[indices[e]];
        for (std::int64_t p = 0; p < planes.run(); p += kLanes)
          store<kLanes>(sums + p, load<kLanes>(sums + p) + c.values[e] * load<kLanes>(run + p));
      }
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
  const std::int64_t pixels = c.shape.out_size[0] * c.shape.out_size[1], length = run_length(planes);
  planes.place_columns(work.place);
  planes.clear_slack(work.images);
  if (c.pattern.entries > 0) __builtin_memset(c.out, 0, c.pattern.entries * sizeof(float));
  values_gradient(c, planes, work, [&](std::int64_t row, const float* flow, const float* image, float* run) {
    for (std::int64_t r = row; r < smaller(row + kGroup, c.outputs); ++r) {
      planes.lay_out_run(flow + r * pixels, length, run);
      for (std::int64_t e = c.pattern.indptr[r]; e < c.pattern.indptr[r + 1]; ++e) {
        const float* x = image + work.place[indices[e]];
        vec<kLanes> sum[4] = {};
        std::int64_t p = 0;
        for (; p + 4 * kLanes <= length; p += 4 * kLanes) {
          GOSSAMER_UNROLL
          for (int j = 0; j < 4; ++j) sum[j] += load<kLanes>(run + p + j * kLanes) * load<kLanes>(x + p + j * kLanes);
        }
        for (; p < length; p += kLanes) sum[0] += load<kLanes>(run + p) * load<kLanes>(x + p);
        c.out[e] += lane_sum<kLanes>((sum[0] + sum[1]) + (sum[2] + sum[3]));
      }
    }
  });
  return true;
}

}  // namespace

bool csr_conv(const Convolution& c, float* scratch) {
  return c.pattern.index_bytes == 4 ? forward<std::int32_t>(c, scratch) : forward<std::int64_t>(c, scratch);
}

bool csr_conv_input(const Convolution& c, float* scratch) {
  return c.pattern.index_bytes == 4 ? input<std::int32_t>(c, scratch) : input<std::int64_t>(c, scratch);
}

bool csr_conv_values(const Convolution& c, float* scratch) {
  return c.pattern.index_bytes == 4 ? values<std::int32_t>(c, scratch) : values<std::int64_t>(c, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
