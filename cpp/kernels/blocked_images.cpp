// Blocked images: filters of one channel each, pooling, and the way to and from images of whole channels. The 16 channels
// of a block go side by side through everything here.
#include "blocked_rows.hpp"
#include "transpose_tile.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kWide = smaller<int>(kBlock, kLanes), kParts = kBlock / kWide;
constexpr int kPixels = kRegisters == 32 ? 8 : smaller(8, 8 / kParts);  // whose sums fit in registers, with room to spare
constexpr std::int64_t kWorthThreads = 16384;                           // numbers from which on other threads are woken
using V = vec<kWide>;

// Runs `body(image, block, y)` for all rows of all blocks.
template <class Body>
void each_row(std::int64_t images, const BlockedImages& to, std::int64_t cost, int threads, Body body) {
  const std::int64_t rows = images * to.blocks() * to.size[0];
#pragma omp parallel num_threads(threads) if (threads > 1 && rows * to.pitch() * cost >= kWorthThreads)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) body(r / to.size[0] / to.blocks(), r / to.size[0] % to.blocks(), r % to.size[0]);
  }
}

// Q neighbouring pixels of a depthwise convolution.
template <int Q>
void filter(const BlockedDepthwise& c, const float* x, const float* values, const float* bias, const float* add, float* out) {
  V sum[Q][kParts] = {};
  const std::int64_t apart = c.stride[1] * kBlock;
  for (std::int64_t i = 0; i < c.kernel[0]; ++i)
    for (std::int64_t j = 0; j < c.kernel[1]; ++j, values += kBlock) {
      const float* from = x + i * c.dilation[0] * c.from.pitch() + j * c.dilation[1] * kBlock;
      GOSSAMER_UNROLL
      for (int s = 0; s < kParts; ++s) {
        const V weights = load<kWide>(values + s * kWide);
        GOSSAMER_UNROLL
        for (int q = 0; q < Q; ++q) sum[q][s] += load<kWide>(from + q * apart + s * kWide) * weights;
      }
    }
  GOSSAMER_UNROLL
  for (int q = 0; q < Q; ++q) {
    GOSSAMER_UNROLL
    for (int s = 0; s < kParts; ++s) {
      const std::int64_t at = q * kBlock + s * kWide;
      V total = sum[q][s] + load<kWide>(bias + s * kWide);
      if (add != nullptr) total += load<kWide>(add + at);
      store<kWide>(out + at, clamped<kWide>(total, c.low, c.high));
    }
  }
}

template <int Q>
void choose_width(std::int64_t wide, const BlockedDepthwise& c, const float* x, const float* values, const float* bias,
                  const float* add, float* out) {
  if constexpr (Q > 1) {
    if (wide < Q) return choose_width<Q - 1>(wide, c, x, values, bias, add, out);
  }
  filter<Q>(c, x, values, bias, add, out);
}

// Pools one row of a block. Rows [top, bottom) of the input take part, `high` in all with what is padded.
void pool_row(const BlockedPool& p, const float* plane, std::int64_t y, float* out) {
  const std::int64_t start = y * p.stride[0] - p.padding[0];
  const std::int64_t top = larger<std::int64_t>(start, 0), bottom = smaller(start + p.kernel[0], p.from.size[0]);
  const std::int64_t high = smaller(start + p.kernel[0], p.from.size[0] + p.padding[0]) - start;
  for (std::int64_t x = 0; x < p.to.size[1]; ++x, out += kBlock) {
    const std::int64_t begin = x * p.stride[1] - p.padding[1];
    const std::int64_t left = larger<std::int64_t>(begin, 0), right = smaller(begin + p.kernel[1], p.from.size[1]);
    const std::int64_t wide = smaller(begin + p.kernel[1], p.from.size[1] + p.padding[1]) - begin;
    const float count = static_cast<float>(p.padded ? high * wide : (bottom - top) * (right - left));
    for (int s = 0; s < kParts; ++s) {
      V found = V{} + (p.mean ? 0.0f : -__builtin_inff());
      for (std::int64_t i = top; i < bottom; ++i)
        for (std::int64_t j = left; j < right; ++j) {
          const V value = load<kWide>(plane + p.from.origin() + i * p.from.pitch() + j * kBlock + s * kWide);
          found = p.mean ? found + value : (value > found ? value : (value != value ? value : found));
        }
      store<kWide>(out + s * kWide, p.mean ? found / count : found);
    }
  }
}

constexpr std::int64_t kLine = 1024;  // pixels of a row that are put together at once

template <bool mean>
GOSSAMER_INLINE float joined(float found, float value) {
  if constexpr (mean) return found + value;
  return value > found || value != value ? value : found;
}

// The same for planes of one channel: first the rows of a window are put together, then its columns.
template <bool mean>
void pool_plain_row(const BlockedPool& p, const float* plane, std::int64_t y, float* out) {
  const std::int64_t start = y * p.stride[0] - p.padding[0];
  const std::int64_t top = larger<std::int64_t>(start, 0), bottom = smaller(start + p.kernel[0], p.from.size[0]);
  const std::int64_t high = smaller(start + p.kernel[0], p.from.size[0] + p.padding[0]) - start;
  float line[kLine];
  std::int64_t first = 0, known = 0;  // what `line` holds: pixels [first, known)
  for (std::int64_t x = 0; x < p.to.size[1]; ++x) {
    const std::int64_t begin = x * p.stride[1] - p.padding[1];
    const std::int64_t left = larger<std::int64_t>(begin, 0), right = smaller(begin + p.kernel[1], p.from.size[1]);
    const std::int64_t wide = smaller(begin + p.kernel[1], p.from.size[1] + p.padding[1]) - begin;
    const float count = static_cast<float>(p.padded ? high * wide : (bottom - top) * (right - left));
    float found = mean ? 0.0f : -__builtin_inff();
    for (std::int64_t j = left; j < right; ++j) {
      if (j >= known || j < first) {
        first = j;
        known = smaller(j + kLine, p.from.size[1]);
        const float* from = plane + p.from.origin() + first;
        for (std::int64_t k = 0; k < known - first; ++k) line[k] = from[top * p.from.pitch() + k];
        for (std::int64_t i = top + 1; i < bottom; ++i)
          for (std::int64_t k = 0; k < known - first; ++k) line[k] = joined<mean>(line[k], from[i * p.from.pitch() + k]);
      }
      found = joined<mean>(found, line[j - first]);
    }
    out[x] = mean ? found / count : found;
  }
}

}  // namespace

void blocked_depthwise(const BlockedDepthwise& c) {
  each_row(c.images, c.to, c.kernel[0] * c.kernel[1], c.threads, [&](std::int64_t image, std::int64_t block, std::int64_t y) {
    alignas(64) float bias[kBlock] = {};
    for (std::int64_t k = 0; c.bias != nullptr && k < smaller(kBlock, c.to.channels - block * kBlock); ++k)
      bias[k] = c.bias[block * kBlock + k];
    const float* x = c.x + image * c.from.image() + block * c.from.plane() +
                     (c.from.halo[0] - c.padding[0] + y * c.stride[0]) * c.from.pitch() +
                     (c.from.halo[1] - c.padding[1]) * kBlock;
    const float* values = c.values + block * c.kernel[0] * c.kernel[1] * kBlock;
    float* plane = c.out + image * c.to.image() + block * c.to.plane();
    float* out = plane + c.to.origin() + y * c.to.pitch();
    const float* add = c.add == nullptr ? nullptr
                                        : c.add + image * c.added.image() + block * c.added.plane() + c.added.origin() +
                                              y * c.added.pitch();
    const std::int64_t width = c.to.size[1], strips = ceil_div(width, std::int64_t{kPixels});
    for (std::int64_t i = 0, at = 0; i < strips; ++i) {
      const std::int64_t wide = (width - at) / (strips - i);
      choose_width<kPixels>(wide, c, x + at * c.stride[1] * kBlock, values, bias, add == nullptr ? nullptr : add + at * kBlock,
                            out + at * kBlock);
      at += wide;
    }
    clear_halo(c.to, plane, y);
  });
}

void blocked_pool(const BlockedPool& p) {
  each_row(p.images, p.to, p.kernel[0] * p.kernel[1], p.threads, [&](std::int64_t image, std::int64_t block, std::int64_t y) {
    float* plane = p.out + image * p.to.image() + block * p.to.plane();
    const float* from = p.x + image * p.from.image() + block * p.from.plane();
    const auto pool = p.to.block > 1 ? pool_row : p.mean ? pool_plain_row<true> : pool_plain_row<false>;
    pool(p, from, y, plane + p.to.origin() + y * p.to.pitch());
    clear_halo(p.to, plane, y);
  });
}

void to_blocked(const Relayout& p) {
  const BlockedImages& to = p.blocked;
  const std::int64_t area = to.size[0] * to.size[1];
  each_row(p.images, to, 1, p.threads, [&](std::int64_t image, std::int64_t block, std::int64_t y) {
    const std::int64_t count = smaller(to.block, to.channels - block * to.block);
    const float* x = p.x + (image * to.channels + block * to.block) * area + y * to.size[1];
    float* plane = p.out + image * to.image() + block * to.plane();
    float* out = plane + to.origin() + y * to.pitch();
    if (to.block == 1) {
      __builtin_memcpy(out, x, to.size[1] * sizeof(float));
    } else {
      if (count < to.block) __builtin_memset(out, 0, to.size[1] * to.block * sizeof(float));
      transpose(out, to.block, x, area, count, to.size[1]);
    }
    clear_halo(to, plane, y);
  });
}

void from_blocked(const Relayout& p) {
  const BlockedImages& from = p.blocked;
  const std::int64_t area = from.size[0] * from.size[1];
  each_row(p.images, from, 1, p.threads, [&](std::int64_t image, std::int64_t block, std::int64_t y) {
    const std::int64_t count = smaller(from.block, from.channels - block * from.block);
    const float* x = p.x + image * from.image() + block * from.plane() + from.origin() + y * from.pitch();
    float* out = p.out + (image * from.channels + block * from.block) * area + y * from.size[1];
    if (from.block == 1) {
      __builtin_memcpy(out, x, from.size[1] * sizeof(float));
    } else {
      transpose(out, area, x, from.block, from.size[1], count);
    }
  });
}

}  // namespace gossamer::GOSSAMER_ISA
