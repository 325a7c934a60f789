// Products of words with panels in which each pair of words gives an integer: what binary, ternary and int8 share.
//
// The sum of a pair is `P::kFactor` times what `P::add` adds up, plus a term that depends on the example only.
//   P::kStep      words read together, of the input and of each lane of the panel
//   P::kExpand    words that a word of the input is laid out as
//   P::kMost      steps that may be added up before P::total widens the counters
#pragma once

#include "low_bits.hpp"
#include "panels.hpp"

namespace gossamer::GOSSAMER_ISA {

template <class P>
struct WordKernel {
  static std::int64_t panel_words(const WordProduct& p) { return p.words * P::kStep * P::kExpand + 2; }

  static std::int64_t work(const WordProduct& p) { return p.rows * p.words * P::kStep * p.outputs / kOutputs; }

  static void lay_out(const WordProduct& p, std::int64_t first, std::int64_t count, std::int64_t width,
                      std::uint32_t* panel) {
    const std::int64_t length = p.words * P::kStep;
    const std::uint32_t* x = p.x + first * length;
    std::uint32_t* terms = panel + length * P::kExpand * width;
    if constexpr (P::kExpand == 1) {
      transpose(reinterpret_cast<float*>(panel), width, reinterpret_cast<const float*>(x), length, count, length);
      for (std::int64_t w = 0; w < length; ++w)
        for (std::int64_t n = count; n < width; ++n) panel[w * width + n] = 0;
    } else {
      for (std::int64_t w = 0; w < length; ++w)
        for (std::int64_t n = 0; n < width; ++n)
          P::expand(n < count ? x[n * length + w] : 0, panel + w * P::kExpand * width + n, width);
    }
    auto* scales = reinterpret_cast<float*>(terms + width);
    for (std::int64_t n = 0; n < width; ++n) {
      terms[n] = n < count ? P::term(p, x + n * length) : 0;
      scales[n] = n < count && p.x_scale != nullptr ? p.x_scale[first + n] : 1.0f;
    }
  }

  template <int N>
  static void tile(const WordProduct& p, std::int64_t block, const std::uint32_t* panel, std::int64_t first,
                   std::int64_t count) {
    constexpr int chains = N * kParts >= 4 ? 1 : 4 / (N * kParts);  // enough sums to hide the latency of an addition
    constexpr int stride = P::kStep * P::kExpand * N;
    const std::uint32_t* weights = p.panels + block * p.words * P::kStep * kOutputs;
    const std::uint32_t* terms = panel + p.words * stride;
    words_t sum[N][kParts] = {};
    for (std::int64_t from = 0; from < p.words; from += P::kMost) {
      const std::int64_t to = smaller(from + P::kMost, p.words);
      words_t part[chains][N][kParts] = {};
      const auto step = [&](std::int64_t at, words_t(&into)[N][kParts]) __attribute__((always_inline)) {
        const std::uint32_t* x = panel + at * stride;
        GOSSAMER_UNROLL
        for (int s = 0; s < kParts; ++s) {
          const typename P::Weights w = P::load(weights + at * P::kStep * kOutputs + s * kLanes);
          GOSSAMER_UNROLL
          for (int n = 0; n < N; ++n) into[n][s] = P::add(into[n][s], w, x + n, N);
        }
      };
      std::int64_t at = from;
      for (; at + chains <= to; at += chains) {
        GOSSAMER_UNROLL
        for (int j = 0; j < chains; ++j) step(at + j, part[j]);
      }
      for (; at < to; ++at) step(at, part[0]);
      GOSSAMER_UNROLL
      for (int n = 0; n < N; ++n)
        GOSSAMER_UNROLL
        for (int s = 0; s < kParts; ++s)
          GOSSAMER_UNROLL
          for (int j = 0; j < chains; ++j) sum[n][s] += P::total(part[j][n][s]);
    }
    const auto* scales = reinterpret_cast<const float*>(terms + N);
    const std::int64_t row = block * kOutputs, lanes = smaller<std::int64_t>(kOutputs, p.outputs - row);
    const Lanes scale(p.scale, row, lanes), bias(p.bias, row, lanes);
    const auto finish = [&](float* out, std::int64_t to_next) __attribute__((always_inline)) {
      GOSSAMER_UNROLL
      for (int n = 0; n < N; ++n)
        GOSSAMER_UNROLL
        for (int s = 0; s < kParts; ++s) {
          const words_t exact = sum[n][s] * static_cast<std::uint32_t>(P::kFactor) + terms[n];
          vec<kLanes> value = (vec<kLanes>)exact;
          if (p.scale != nullptr)
            value = __builtin_convertvector((ints_t)exact, vec<kLanes>) * (scales[n] * scale.at(s)) + bias.at(s);
          store<kLanes>(out + n * to_next + s * kLanes, value);
        }
    };
    write_tile<N>(static_cast<float*>(p.out) + first * p.outputs + row, p.outputs, count, lanes, finish);
  }
};

}  // namespace gossamer::GOSSAMER_ISA
