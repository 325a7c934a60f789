// Products of signed bytes with sums of 32 bits, four inputs a lane.
#include "word_product.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

struct Int8 {
  typedef ByteDot::Weights Weights;
  static constexpr int kStep = 1, kExpand = ByteDot::kExpand;
  static constexpr std::int64_t kMost = std::int64_t{1} << 40;
  static constexpr std::int32_t kFactor = 1;

  static GOSSAMER_INLINE Weights load(const std::uint32_t* from) { return ByteDot::of_signed(load_words(from)); }
  static GOSSAMER_INLINE words_t add(words_t sum, const Weights& w, const std::uint32_t* x, int stride) {
    return ByteDot::add(sum, w, x, stride);
  }
  static GOSSAMER_INLINE words_t total(words_t part) { return part; }
  static void expand(std::uint32_t word, std::uint32_t* to, std::int64_t stride) { ByteDot::lay_out(word, to, stride); }
  static std::uint32_t term(const WordProduct& p, const std::uint32_t* x) {
    if constexpr (ByteDot::kSurplus == 0) return 0;
    return 0u - ByteDot::kSurplus * sum_bytes(x, p.words);
  }
};

}  // namespace

std::size_t int8_scratch(const WordProduct& p) { return tiles_scratch<WordKernel<Int8>>(p); }

void int8(const WordProduct& p, std::uint32_t* scratch) { multiply_tiles<WordKernel<Int8>>(p, scratch); }

}  // namespace gossamer::GOSSAMER_ISA
