// The walk that all kernels of few bits share: tiles of examples against panels of 16 outputs.
//
// A tile holds as many examples as the registers hold sums for. Its input is laid out with the examples side by side,
// so that one broadcast at a fixed distance serves each; a group of tiles stays in the second-level cache while the
// panels walk over it, and a panel stays in the first-level cache while the tiles of the group pass.
//
// A kernel is a class `P` for a job `J` (rows, outputs, words, panels, threads):
//   P::panel_words(J)                                  words of scratch that one example takes
//   P::lay_out(J, first, count, width, panel)          lays out `count` examples in a tile of `width`; the others zero
//   P::tile<N>(J, block, panel, first, count)          sums of a tile of N for the 16 outputs of a block, and writes them
//   P::work(J)                                         how many elementary steps the whole takes, for choosing threads
#pragma once

#include "lanes.hpp"
#include "transpose_tile.hpp"

namespace gossamer::GOSSAMER_ISA {

constexpr int kTile = kRegisters == 32 ? (kParts == 1 ? 24 : 6) : (kParts == 2 ? 4 : 2);  // examples
constexpr std::int64_t kTileBytes = 384 * 1024;  // of tiles that stay in cache together

// The width of the tile that holds `count` examples, at most kTile.
inline std::int64_t tile_width(std::int64_t count) {
  std::int64_t width = 1;
  while (width < count && width < kTile) width *= 2;
  return smaller<std::int64_t>(width, kTile);
}

// How many examples are laid out at the same time: a multiple of kTile, or all of them.
template <class P, class J>
std::int64_t tile_group(const J& job) {
  const std::int64_t bytes = larger<std::int64_t>(P::panel_words(job) * kTile * 4, 1);
  return larger<std::int64_t>(kTileBytes / bytes, 1) * kTile;
}

template <class P, class J>
std::size_t tiles_scratch(const J& job) {
  const std::int64_t whole = job.rows / kTile * kTile;
  const std::int64_t padded = whole + (whole < job.rows ? tile_width(job.rows - whole) : 0);
  return static_cast<std::size_t>(smaller(tile_group<P>(job), padded) * P::panel_words(job));
}

template <class P, int N, class J>
void any_tile(std::int64_t width, const J& job, std::int64_t block, const std::uint32_t* panel, std::int64_t first,
              std::int64_t count) {
  if constexpr (N > 1) {
    constexpr int less = N == 24 ? 16 : N == 6 ? 4 : N / 2;
    if (width < N) return any_tile<P, less>(width, job, block, panel, first, count);
  }
  P::template tile<N>(job, block, panel, first, count);
}

template <class P, class J>
void multiply_tiles(const J& job, std::uint32_t* scratch) {
  if (job.rows == 0 || job.outputs == 0) return;
  const std::int64_t group = tile_group<P>(job), blocks = ceil_div(job.outputs, kOutputs);
  const std::int64_t size = P::panel_words(job);
  [[maybe_unused]] const bool many = job.threads > 1 && P::work(job) > 32768;
#pragma omp parallel num_threads(job.threads) if (many)
  {
    const FlushSubnormals flush;
    for (std::int64_t start = 0; start < job.rows; start += group) {
      const std::int64_t stop = smaller(start + group, job.rows), tiles = ceil_div(stop - start, kTile);
#pragma omp for schedule(static)
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t first = start + t * kTile, count = smaller<std::int64_t>(kTile, stop - first);
        P::lay_out(job, first, count, tile_width(count), scratch + t * kTile * size);
      }
#pragma omp for schedule(static)
      for (std::int64_t unit = 0; unit < blocks * tiles; ++unit) {
        const std::int64_t t = unit % tiles, first = start + t * kTile;
        const std::int64_t count = smaller<std::int64_t>(kTile, stop - first);
        any_tile<P, kTile>(tile_width(count), job, unit / tiles, scratch + t * kTile * size, first, count);
      }
    }
  }
}

// The numbers of 16 outputs from `row` on, of which `lanes` are there: zeros beyond, and for null.
class Lanes {
 public:
  GOSSAMER_INLINE Lanes(const float* values, std::int64_t row, std::int64_t lanes) : from_(copy_) {
    if (values != nullptr && lanes == kOutputs) {
      from_ = values + row;
    } else {
      for (int i = 0; i < kOutputs; ++i) copy_[i] = values != nullptr && i < lanes ? values[row + i] : 0.0f;
    }
  }
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  GOSSAMER_INLINE vec<kLanes> at(int part) const { return load<kLanes>(from_ + part * kLanes); }

 private:
  const float* from_;
  float copy_[kOutputs];
};

// Calls `finish(out, stride)`, which writes N rows of 16, straight to the output where all of it has room.
template <int N, class Finish>
GOSSAMER_INLINE void write_tile(float* out, std::int64_t stride, std::int64_t count, std::int64_t lanes, Finish finish) {
  if (count == N && lanes == kOutputs) return finish(out, stride);
  alignas(64) float results[N * kOutputs];
  finish(results, kOutputs);
  for (std::int64_t n = 0; n < count; ++n)
    __builtin_memcpy(out + n * stride, results + n * kOutputs, static_cast<std::size_t>(lanes) * sizeof(float));
}

}  // namespace gossamer::GOSSAMER_ISA
