// Products of numbers that are -1, 0 or 1, stored as two bits: nonzero and sign. Where both are nonzero, equal signs
// give 1 and different ones -1; counting equal ones and all that are not different ones, 32 inputs a lane are 32 too many.
#include "word_product.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

struct Ternary {
  struct Weights {
    words_t nonzero, sign;
  };
  static constexpr int kStep = 2, kExpand = 1;
  static constexpr std::int64_t kMost = BitCount::kMost / 2;
  static constexpr std::int32_t kFactor = 1;

  static GOSSAMER_INLINE Weights load(const std::uint32_t* from) {
    return {load_words(from), load_words(from + kOutputs)};
  }
  static GOSSAMER_INLINE words_t add(words_t sum, const Weights& w, const std::uint32_t* x, int stride) {
    const words_t both = w.nonzero & x[0], sign = x[stride] - words_t{};
    return sum + BitCount::of(both_equal(both, w.sign, sign)) + BitCount::of(not_different(both, w.sign, sign));
  }
  static GOSSAMER_INLINE words_t total(words_t part) { return BitCount::total(part); }
  static std::uint32_t term(const WordProduct& p, const std::uint32_t*) {
    return static_cast<std::uint32_t>(-32 * p.words);
  }
};

}  // namespace

std::size_t ternary_scratch(const WordProduct& p) { return tiles_scratch<WordKernel<Ternary>>(p); }

void ternary(const WordProduct& p, std::uint32_t* scratch) { multiply_tiles<WordKernel<Ternary>>(p, scratch); }

}  // namespace gossamer::GOSSAMER_ISA
