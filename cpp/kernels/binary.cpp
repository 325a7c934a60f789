// Products of signs: of K inputs that are all -1 or 1, those whose signs differ take 2 away from K. Counting them is an
// exclusive or and a count of bits for 32 inputs a lane.
#include "word_product.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

struct Binary {
  typedef words_t Weights;
  static constexpr int kStep = 1, kExpand = 1;
  static constexpr std::int64_t kMost = BitCount::kMost;
  static constexpr std::int32_t kFactor = -2;

  static GOSSAMER_INLINE Weights load(const std::uint32_t* from) { return load_words(from); }
  static GOSSAMER_INLINE words_t add(words_t sum, const Weights& w, const std::uint32_t* x, int) {
    return sum + BitCount::of(w ^ *x);
  }
  static GOSSAMER_INLINE words_t total(words_t part) { return BitCount::total(part); }
  static std::uint32_t term(const WordProduct& p, const std::uint32_t*) { return static_cast<std::uint32_t>(p.columns); }
};

}  // namespace

std::size_t binary_scratch(const WordProduct& p) { return tiles_scratch<WordKernel<Binary>>(p); }

void binary(const WordProduct& p, std::uint32_t* scratch) { multiply_tiles<WordKernel<Binary>>(p, scratch); }

}  // namespace gossamer::GOSSAMER_ISA
