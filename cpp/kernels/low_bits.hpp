// What the kernels of few bits take, and the table of them that each instruction set fills.
//
// The rules of kernels.hpp hold. Two forms of storage, both of 32-bit words that run along the inputs of a layer and
// whose bits beyond the last input are zero:
//   - words, (rows, W): activations, an example a row;
//   - panels, (ceil(outputs / 16), W, 16): weights, the words of 16 outputs side by side. Lanes beyond the last
//     output are zero.
// A word holds 32 signs (bit set: negative), 4 signed bytes, or 32 / bits codes; `ternary` has two words in the place
// of one, nonzero and sign. Of codes with fewer bits than a byte, byte b holds, from its low bits up, the inputs b,
// b + 4, b + 8 and so on of the word: a shift and a mask give 4 neighbouring inputs as bytes.
//
// Sums of integers are exact wherever the result fits in 32 bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// Turns float rows into words and a scale each, such that words x scale approximates the row; see quantize.cpp.
struct Quantize {
  std::int64_t rows;
  std::int64_t columns;
  const float* x;        // (rows, columns)
  float threshold;       // ternary: magnitudes up to it count as zero
  bool mean;             // signs: the scale is the mean magnitude; else 1
  const float* given;    // bytes: (rows) the scales to use; null: the largest magnitude / 127
  std::uint32_t* words;  // (rows, W), or (rows, W, 2) for ternary
  float* scale;          // (rows)
  int threads;
};

// out = words . panels, as integers or scaled; see binary.cpp, ternary.cpp and int8.cpp.
struct WordProduct {
  std::int64_t rows;
  std::int64_t columns;         // inputs that a row stands for
  std::int64_t words;           // of a row; of pairs for ternary
  std::int64_t outputs;
  const std::uint32_t* x;       // words
  const std::uint32_t* panels;  // panels
  const float* x_scale;         // (rows); null: ones
  const float* scale;           // (outputs); null: the output is int32, and there is no bias
  const float* bias;            // (outputs) or null
  void* out;                    // (rows, outputs) float or int32
  int threads;
};

// out = x W + bias for W of codes with scales for groups of inputs; see few_bits.cpp.
struct FewBits {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t outputs;
  int bits;                     // 1, 2 or 4
  std::int64_t group;           // inputs that share a scale: a multiple of 32, or at least `columns`
  const void* x;                // (rows, columns) float, or words of bytes
  const float* x_scale;         // (rows) for bytes; null: ones
  const std::uint32_t* panels;  // panels of codes
  const float* scales;          // (ceil(outputs / 16), groups, 16)
  const float* offsets;         // like scales, or null
  const float* levels;          // (2^bits) what a code stands for, for float
  std::int32_t zero;            // the code that stands for zero, for bytes
  const float* bias;            // (outputs) or null
  float* out;                   // (rows, outputs)
  int threads;
};

// The kernels of one instruction set. `..._scratch` says how many words the caller lends.
struct LowBits {
  void (*pack_signs)(const Quantize&);
  void (*pack_ternary)(const Quantize&);
  void (*pack_bytes)(const Quantize&);
  std::size_t (*binary_scratch)(const WordProduct&);
  void (*binary)(const WordProduct&, std::uint32_t* scratch);
  std::size_t (*ternary_scratch)(const WordProduct&);
  void (*ternary)(const WordProduct&, std::uint32_t* scratch);
  std::size_t (*int8_scratch)(const WordProduct&);
  void (*int8)(const WordProduct&, std::uint32_t* scratch);
  std::size_t (*few_bits_scratch)(const FewBits&);
  void (*few_bits)(const FewBits&, std::uint32_t* scratch);
  std::size_t (*few_bits_int8_scratch)(const FewBits&);
  void (*few_bits_int8)(const FewBits&, std::uint32_t* scratch);
};

}  // namespace gossamer
