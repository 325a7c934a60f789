// What the convolutions share: the memory they borrow, and what they do to a chunk of results.
#pragma once

#include "planes.hpp"
#include "transpose_tile.hpp"

namespace gossamer::GOSSAMER_ISA {

inline constexpr std::int64_t kGroup = 16;                // outputs that are put together
inline constexpr std::int64_t kChunk = 240;               // pixels of them that are put together in cache
inline constexpr std::int64_t kWidest = 64;               // pixels that may be computed beyond a chunk
inline constexpr std::int64_t kPanelBytes = 384 * 1024;   // of images that are laid out together

// Lent memory: where each column begins, images laid out, and a run of 16 outputs for each thread.
struct Workspace {
  std::int64_t* place;
  float* images;
  float* runs;
};

inline std::int64_t place_floats(const Planes& planes) { return ceil_div(planes.columns() * 2, 16) * 16; }

// Pixels of a run, with those that fill its last vectors.
inline std::int64_t run_length(const Planes& planes) { return ceil_div(planes.run(), 16) * 16; }

// How many images are laid out together: as many as fit in cache, and one for each thread.
inline std::int64_t group_size(const Convolution& c, const Planes& planes) {
  const std::int64_t fit = kPanelBytes / static_cast<std::int64_t>(planes.image() * sizeof(float));
  return larger<std::int64_t>(smaller(larger<std::int64_t>(fit, c.threads), c.shape.images), 1);
}

inline Workspace workspace(const Convolution& c, const Planes& planes, float* scratch) {
  float* images = scratch + place_floats(planes);
  const std::int64_t group = larger<std::int64_t>(group_size(c, planes), c.threads);
  return {reinterpret_cast<std::int64_t*>(scratch), images, images + group * planes.image()};
}

template <class Index>
bool sound(const Convolution& c) {
  return all_inside(static_cast<const Index*>(c.pattern.indices), c.pattern.entries, c.pattern.columns);
}

// Convolves all images: `chunk(row, begin, end, image, rows)` leaves pixels [begin, end) of the outputs from `row` on, at
// most 16, in `rows`, (16, kChunk + kWidest).
template <class Chunk>
void convolve(const Convolution& c, const Planes& planes, const Workspace& work, Chunk chunk) {
  const std::int64_t pixels = c.shape.out_size[0] * c.shape.out_size[1], area = c.shape.size[0] * c.shape.size[1];
  const std::int64_t chunks = ceil_div(planes.run(), kChunk), blocks = ceil_div(c.outputs, kGroup);
  const std::int64_t group = group_size(c, planes);
#pragma omp parallel num_threads(c.threads) if (c.threads > 1 && c.pattern.entries * pixels * c.shape.images > 16384)
  {
    const FlushSubnormals flush;
    for (std::int64_t start = 0; start < c.shape.images; start += group) {
      const std::int64_t images = smaller(group, c.shape.images - start);
#pragma omp for schedule(static)
      for (std::int64_t i = 0; i < images * c.shape.channels; ++i) {
        float* image = work.images + i / c.shape.channels * planes.image();
        planes.lay_out(c.x + (start * c.shape.channels + i) * area, i % c.shape.channels, image);
        if (i % c.shape.channels == 0) planes.clear_slack(image);
      }
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t item = 0; item < images * chunks * blocks; ++item) {
        const std::int64_t row = item % blocks * kGroup, begin = item / blocks % chunks * kChunk;
        const std::int64_t image = item / blocks / chunks, end = smaller(begin + kChunk, planes.run());
        alignas(64) float rows[kGroup * (kChunk + kWidest)];
        chunk(row, begin, end, work.images + image * planes.image(), rows);
        for (std::int64_t r = 0; r < smaller(kGroup, c.outputs - row); ++r)
          planes.copy_rows(rows + r * (kChunk + kWidest), begin, end,
                           c.out + ((start + image) * c.outputs + row + r) * pixels);
      }
    }
  }
}

// Gradient of the input, one thread an image: `add(flow, image, run)` adds what the results of one image bring to the
// planes at `image`; `run` is lent to lay out 16 outputs.
template <class Add>
void input_gradient(const Convolution& c, const Planes& planes, const Workspace& work, Add add) {
  const std::int64_t pixels = c.shape.out_size[0] * c.shape.out_size[1], area = c.shape.size[0] * c.shape.size[1];
  const std::int64_t images = c.shape.images;
  const int threads = static_cast<int>(larger<std::int64_t>(smaller<std::int64_t>(c.threads, images), 1));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int t = 0; t < threads; ++t) {
    const FlushSubnormals flush;
    float* image = work.images + t * planes.image();
    for (std::int64_t i = t * images / threads; i < (t + 1) * images / threads; ++i) {
      __builtin_memset(image, 0, planes.image() * sizeof(float));
      add(c.flow + i * c.outputs * pixels, image, work.runs + t * kGroup * run_length(planes));
      for (std::int64_t k = 0; k < c.shape.channels; ++k)
        planes.take_back(image, k, c.out + (i * c.shape.channels + k) * area);
    }
  }
}

// Gradient of the values, one thread a group of 16 outputs: `add(row, flow, image, run)` adds what one image brings to
// the outputs from `row` on; `flow` is of all outputs of that image.
template <class Add>
void values_gradient(const Convolution& c, const Planes& planes, const Workspace& work, Add add) {
  const std::int64_t pixels = c.shape.out_size[0] * c.shape.out_size[1], area = c.shape.size[0] * c.shape.size[1];
  const std::int64_t blocks = ceil_div(c.outputs, kGroup);
  const int threads = static_cast<int>(larger<std::int64_t>(smaller<std::int64_t>(c.threads, blocks), 1));
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const FlushSubnormals flush;
    for (std::int64_t i = 0; i < c.shape.images; ++i) {
#pragma omp for schedule(static)
      for (std::int64_t k = 0; k < c.shape.channels; ++k)
        planes.lay_out(c.x + (i * c.shape.channels + k) * area, k, work.images);
#pragma omp for schedule(static)
      for (int t = 0; t < threads; ++t)
        for (std::int64_t block = t * blocks / threads; block < (t + 1) * blocks / threads; ++block)
          add(block * kGroup, c.flow + i * c.outputs * pixels, work.images,
              work.runs + t * kGroup * run_length(planes));
    }
  }
}

// Lays out the flow of `count` outputs from `row` on as runs; outputs that there are not are zero.
inline void lay_out_flow(const Convolution& c, const Planes& planes, const float* flow, std::int64_t row,
                         std::int64_t count, float* runs) {
  const std::int64_t length = run_length(planes), pixels = c.shape.out_size[0] * c.shape.out_size[1];
  for (std::int64_t r = 0; r < count; ++r) {
    if (row + r < c.outputs) {
      planes.lay_out_run(flow + (row + r) * pixels, length, runs + r * length);
    } else {
      __builtin_memset(runs + r * length, 0, length * sizeof(float));
    }
  }
}

}  // namespace gossamer::GOSSAMER_ISA
