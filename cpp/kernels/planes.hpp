// Images laid out so that a convolution reads runs of neighbouring numbers.
//
// A plane holds the padded rows of one channel one after the other. Output pixel (y, x) has the number y * pitch + x,
// and for tap (i, j) it reads the plane at that number plus a constant: so every run of pixels is one run of numbers for
// every tap, row ends included. The pixels between the rows come out as nonsense that nobody looks at. A stride above
// one is dealt with here as well: each of its phases gets a plane of its own, in which neighbours are neighbours. With a
// stride of one, the zeros that end a row are those that start the next.
#pragma once

#include "sparse_layer.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

inline constexpr std::int64_t kSlack = 64;  // numbers that may be read beyond the last run

class Planes {
 public:
  explicit Planes(const Geometry& g) : g_(g) {
    for (int axis = 0; axis < 2; ++axis) {
      phases_[axis] = g.kernel[axis] == 1 ? 1 : g.stride[axis];
      reach_[axis] = (g.kernel[axis] - 1) * g.dilation[axis] / g.stride[axis];
    }
    const bool shared = g.stride[1] == 1 && reach_[1] >= g.padding[1];
    pitch_ = shared ? g.size[1] + g.padding[1] : g.out_size[1] + reach_[1];
    rows_ = g.out_size[0] + reach_[0];
    plane_ = pitch_ * rows_;
    run_ = larger<std::int64_t>(g.out_size[0] * pitch_ - (pitch_ - g.out_size[1]), 0);
  }

  std::int64_t pitch() const { return pitch_; }
  std::int64_t run() const { return run_; }  // pixels from the first to the last, those between the rows included
  std::int64_t channel() const { return phases_[0] * phases_[1] * plane_; }
  std::int64_t columns() const { return g_.channels * g_.kernel[0] * g_.kernel[1]; }
  // Numbers that one image takes, with what may be read beyond.
  std::int64_t image() const { return g_.channels * channel() + g_.padding[1] + 2 * kSlack; }

  // Where each column (channel, tap row, tap column) of the matrix begins in an image.
  void place_columns(std::int64_t* place) const {
    for (std::int64_t c = 0; c < g_.channels; ++c)
      for (std::int64_t i = 0; i < g_.kernel[0]; ++i)
        for (std::int64_t j = 0; j < g_.kernel[1]; ++j) {
          const std::int64_t y = i * g_.dilation[0], x = j * g_.dilation[1];
          const std::int64_t phase = y % g_.stride[0] * phases_[1] + x % g_.stride[1];
          *place++ = c * channel() + phase * plane_ + y / g_.stride[0] * pitch_ + x / g_.stride[1];
        }
  }

  // Fills the planes of one channel from its image.
  void lay_out(const float* image, std::int64_t channel_index, float* panel) const {
    float* to = panel + channel_index * channel();
    for (std::int64_t a = 0; a < phases_[0]; ++a)
      for (std::int64_t b = 0; b < phases_[1]; ++b) {
        const auto [from, until] = inside(b);
        for (std::int64_t r = 0; r < rows_; ++r, to += pitch_) {
          const std::int64_t y = r * g_.stride[0] + a - g_.padding[0];
          if (y < 0 || y >= g_.size[0] || from >= until) {
            __builtin_memset(to, 0, pitch_ * sizeof(float));
            continue;
          }
          for (std::int64_t c = 0; c < from; ++c) to[c] = 0.0f;
          const float* row = image + y * g_.size[1] + from * g_.stride[1] + b - g_.padding[1];
          if (g_.stride[1] == 1) {
            __builtin_memcpy(to + from, row, (until - from) * sizeof(float));
          } else {
            for (std::int64_t c = from; c < until; ++c, row += g_.stride[1]) to[c] = *row;
          }
          for (std::int64_t c = until; c < pitch_; ++c) to[c] = 0.0f;
        }
      }
  }

  // Clears what lies behind the last channel.
  void clear_slack(float* panel) const {
    __builtin_memset(panel + g_.channels * channel(), 0, (g_.padding[1] + 2 * kSlack) * sizeof(float));
  }

  // Takes the image of one channel back from its planes; pixels that no plane holds are zero.
  void take_back(const float* panel, std::int64_t channel_index, float* image) const {
    __builtin_memset(image, 0, g_.size[0] * g_.size[1] * sizeof(float));
    const float* from_plane = panel + channel_index * channel();
    for (std::int64_t a = 0; a < phases_[0]; ++a)
      for (std::int64_t b = 0; b < phases_[1]; ++b) {
        const auto [from, until] = inside(b);
        for (std::int64_t r = 0; r < rows_; ++r, from_plane += pitch_) {
          const std::int64_t y = r * g_.stride[0] + a - g_.padding[0];
          if (y < 0 || y >= g_.size[0] || from >= until) continue;
          float* row = image + y * g_.size[1] + from * g_.stride[1] + b - g_.padding[1];
          for (std::int64_t c = from; c < until; ++c, row += g_.stride[1]) *row = from_plane[c];
        }
      }
  }

  // Copies pixels [begin, end) of a result from a run of them to an image (out_size), leaving out those between rows.
  void copy_rows(const float* run, std::int64_t begin, std::int64_t end, float* image) const {
    for (std::int64_t y = begin / pitch_; y * pitch_ < end; ++y) {
      const std::int64_t first = larger<std::int64_t>(begin - y * pitch_, 0);
      const std::int64_t last = smaller(end - y * pitch_, g_.out_size[1]);
      if (first < last)
        __builtin_memcpy(image + y * g_.out_size[1] + first, run + y * pitch_ + first - begin,
                         (last - first) * sizeof(float));
    }
  }

  // Lays out an image (out_size) as a run of `length` pixels; those between rows and beyond are zero.
  void lay_out_run(const float* image, std::int64_t length, float* run) const {
    const std::int64_t wide = g_.out_size[1];
    for (std::int64_t y = 0; y < g_.out_size[0]; ++y) {
      __builtin_memcpy(run + y * pitch_, image + y * wide, wide * sizeof(float));
      const std::int64_t stop = y + 1 < g_.out_size[0] ? (y + 1) * pitch_ : length;
      for (std::int64_t p = y * pitch_ + wide; p < stop; ++p) run[p] = 0.0f;
    }
  }

 private:
  struct Span {
    std::int64_t from;
    std::int64_t until;
  };

  // Which numbers of a row of a plane of this phase stand for pixels of the image.
  Span inside(std::int64_t phase) const {
    const std::int64_t from = ceil_div(larger<std::int64_t>(g_.padding[1] - phase, 0), g_.stride[1]);
    const std::int64_t until = ceil_div(larger<std::int64_t>(g_.size[1] + g_.padding[1] - phase, 0), g_.stride[1]);
    return {from, smaller(until, pitch_)};
  }

  Geometry g_;
  std::int64_t phases_[2];
  std::int64_t reach_[2];
  std::int64_t pitch_;
  std::int64_t rows_;
  std::int64_t plane_;
  std::int64_t run_;
};

}  // namespace gossamer::GOSSAMER_ISA
