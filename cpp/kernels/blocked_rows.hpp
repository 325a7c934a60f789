// What kernels on blocked images share: rows of pixels in tiles, and the halo around them.
#pragma once

#include "blocked.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

// Clears the halo next to row y of one block of one image; `plane` is where that block begins.
inline void clear_halo(const BlockedImages& images, float* plane, std::int64_t y) {
  const std::int64_t pitch = images.pitch(), side = images.halo[1] * images.block;
  float* row = plane + (images.halo[0] + y) * pitch;
  if (side == 1) {  // calls to clear a few bytes cost more than that
    row[0] = row[pitch - 1] = 0.0f;
  } else if (side == kBlock) {
    for (std::int64_t i = 0; i < kBlock; i += kLanes) {
      store<kLanes>(row + i, vec<kLanes>{});
      store<kLanes>(row + pitch - kBlock + i, vec<kLanes>{});
    }
  } else if (side > 0) {
    __builtin_memset(row, 0, side * sizeof(float));
    __builtin_memset(row + pitch - side, 0, side * sizeof(float));
  }
  if (images.halo[0] == 0) return;
  if (y == 0) __builtin_memset(plane, 0, images.halo[0] * pitch * sizeof(float));
  if (y + 1 == images.size[0]) __builtin_memset(row + pitch, 0, images.halo[0] * pitch * sizeof(float));
}

// How far from the first tap of the first channel each column lies.
inline void place_columns(const BlockedConvolution& c, std::int32_t* place) {
  const std::int64_t block = c.from.block;
  for (std::int64_t k = 0; k < c.from.channels; ++k)
    for (std::int64_t i = 0; i < c.kernel[0]; ++i)
      for (std::int64_t j = 0; j < c.kernel[1]; ++j)
        *place++ = static_cast<std::int32_t>(k / block * c.from.plane() + i * c.dilation[0] * c.from.pitch() +
                                             j * c.dilation[1] * block + k % block);
}

// A row of pixels of the results: which of all rows of all images.
struct Row {
  std::int64_t image, y;
};

GOSSAMER_INLINE Row row_of(const BlockedImages& images, std::int64_t row) {
  const auto number = static_cast<std::uint32_t>(row), height = static_cast<std::uint32_t>(images.size[0]);
  return {number / height, number % height};
}

// Where the first tap of the first channel lies for a pixel of the results.
GOSSAMER_INLINE const float* first_tap(const BlockedConvolution& c, Row row, std::int64_t column) {
  return c.x + row.image * c.from.image() + (c.from.halo[0] - c.padding[0] + row.y * c.stride[0]) * c.from.pitch() +
         (c.from.halo[1] - c.padding[1] + column * c.stride[1]) * c.from.block;
}

// How far from the first number of images that pixel of their first block lies.
GOSSAMER_INLINE std::int64_t pixel(const BlockedImages& images, Row row, std::int64_t column) {
  return row.image * images.image() + images.origin() + row.y * images.pitch() + column * images.block;
}

template <int W>
GOSSAMER_INLINE vec<W> clamped(vec<W> v, float low, float high) {
  if constexpr (W == 1) {
    v = v < low ? low : v;
    return v > high ? high : v;
  } else {
    const vec<W> least = vec<W>{} + low, most = vec<W>{} + high;
    v = v < least ? least : v;
    return v > most ? most : v;
  }
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
