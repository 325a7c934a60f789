// Images whose channels lie in blocks of 16, side by side for each pixel: convolutions of them, dense and sparse alike,
// pooling, and the way to and from images whose channels lie one after the other. The rules of kernels.hpp hold.
//
// A blocked image is (blocks, height + 2 halo, width + 2 halo, 16), and its halo holds zeros: a convolution reads its
// padding there and needs no case for the border. Lanes beyond the last channel hold anything. Weights that are scattered
// one by one are better off with blocks of one channel, where neighbours in memory are pixels; so a block has either size.
// A convolution in blocks of rows also reads images in blocks of 4, as they come in with few channels.
#pragma once

#include "kernels.hpp"

namespace gossamer {

inline constexpr std::int64_t kBlock = 16;  // channels, where there is more than one
inline constexpr std::int64_t kFew = 4;

// What kernels of all instruction sets call: each has to have its own, inlined (vector.hpp).
#define GOSSAMER_SHARED __attribute__((always_inline))

// How blocked images lie in memory, in floats.
struct BlockedImages {
  std::int64_t block;  // channels side by side: kBlock, kFew or 1
  std::int64_t channels;
  std::int64_t size[2];  // of the image within its halo
  std::int64_t halo[2];

  GOSSAMER_SHARED std::int64_t blocks() const { return (channels + block - 1) / block; }
  GOSSAMER_SHARED std::int64_t pitch() const { return (size[1] + 2 * halo[1]) * block; }
  GOSSAMER_SHARED std::int64_t plane() const { return (size[0] + 2 * halo[0]) * pitch(); }
  GOSSAMER_SHARED std::int64_t image() const { return blocks() * plane(); }
  GOSSAMER_SHARED std::int64_t origin() const { return halo[0] * pitch() + halo[1] * block; }  // of the first pixel
};

// out = clamp(W * x + bias + add), for W of (outputs, channels * taps): in blocks of 16 or 8 rows for blocked images, see
// blocked_conv.cpp; of single weights for blocks of one channel, see planar_conv.cpp. Pairs are (vertical, horizontal).
struct BlockedConvolution {
  Pattern pattern;  // of blocks; columns are (channel, tap row, tap column), 4 bytes each
  int height;       // rows of a block, 8 or 16; 1 without blocks
  std::int64_t images;
  BlockedImages from, to, added;
  std::int64_t kernel[2], stride[2], padding[2], dilation[2];
  const float* values;  // (entries), or (entries, height) in blocks
  const float* x;
  const float* bias;  // (outputs) or null
  const float* add;   // of the size of the result, with a halo of its own; null: zeros
  float low, high;    // bounds of the result
  float* out;
  int threads;
};

// The same for one filter a channel: `values` is (blocks, taps, 16).
using BlockedDepthwise = BlockedConvolution;

// Pooling; numbers beyond the border are left out, or count as zeros in a mean if `padded`.
struct BlockedPool {
  std::int64_t images;
  BlockedImages from, to;
  std::int64_t kernel[2], stride[2], padding[2];
  bool mean;
  bool padded;
  const float* x;
  float* out;
  int threads;
};

// Between (images, channels, height, width) and blocked images.
struct Relayout {
  std::int64_t images;
  BlockedImages blocked;
  const float* x;
  float* out;
  int threads;
};

// The kernels of one instruction set. `..._scratch` says how many floats the caller lends.
struct BlockedKernels {
  std::size_t (*convolution_scratch)(const BlockedConvolution&);
  bool (*convolution)(const BlockedConvolution&, float* scratch);
  bool (*planar)(const BlockedConvolution&, float* scratch);
  void (*depthwise)(const BlockedDepthwise&);
  void (*pool)(const BlockedPool&);
  void (*to_blocked)(const Relayout&);
  void (*from_blocked)(const Relayout&);
};

}  // namespace gossamer
