// What kernels on blocked images share: rows of pixels in tiles, and the halo around them.
#pragma once

#include "blocked.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

// Clears the halo next to row y of one block of one image; `plane` is where that block begins.
inline void clear_halo(const BlockedImages& images, float* plane, std::int64_t y) {
  const std::int64_t pitch = images.pitch(), side = images.halo[1] * kBlock;
  float* row = plane + (images.halo[0] + y) * pitch;
  if (side > 0) {
    __builtin_memset(row, 0, side * sizeof(float));
    __builtin_memset(row + pitch - side, 0, side * sizeof(float));
  }
  if (images.halo[0] == 0) return;
  if (y == 0) __builtin_memset(plane, 0, images.halo[0] * pitch * sizeof(float));
  if (y + 1 == images.size[0]) __builtin_memset(row + pitch, 0, images.halo[0] * pitch * sizeof(float));
}

// Rows of all images that are worked on together: few enough that what they read of the input stays in the second-level
// cache, and enough pieces that threads find some.
inline std::int64_t rows_together(std::int64_t rows, std::int64_t bytes_a_row) {
  constexpr std::int64_t cache = 384 * 1024, least = 8, pieces = 4;
  const std::int64_t fit = larger<std::int64_t>(cache / larger<std::int64_t>(bytes_a_row, 1), 1);
  const std::int64_t fair = ceil_div(rows, pieces);
  return larger(smaller(fit, fair) / least * least, least);
}

}  // namespace gossamer::GOSSAMER_ISA
