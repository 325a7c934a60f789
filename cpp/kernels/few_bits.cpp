// Codes of 1, 2 or 4 bits times floats or signed bytes, with scales for groups of inputs.
//
// A code chooses one of at most 16 levels, which a permutation of a register looks up for 16 outputs at a time: one
// shift and one look-up a code, whatever the levels are, for all examples of a tile. The weights are read once, at their
// few bits, which is all that counts for a single example. With bytes, a shift and a mask give four neighbouring codes,
// and the zero point is taken away from the sum of a group.
#include "low_bits.hpp"
#include "panels.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

// Finds the level of the code in the low bits of each lane, whatever the bits above them.
template <int bits>
class Levels {
 public:
  explicit Levels(const float* levels) {
    for (int i = 0; i < 16; ++i) table_[i] = levels[i & ((1 << bits) - 1)];
  }

  GOSSAMER_INLINE vec<kLanes> of(words_t codes) const {
#if defined(__AVX512F__)
    const __m512 table = _mm512_load_ps(table_);
    if constexpr (bits < 4) return (vec<kLanes>)_mm512_permutevar_ps(table, (__m512i)codes);
    return (vec<kLanes>)_mm512_permutexvar_ps((__m512i)codes, table);
#elif defined(__AVX2__)
    const __m256 low = _mm256_load_ps(table_);
    if constexpr (bits < 4) return (vec<kLanes>)_mm256_permutevar_ps(low, (__m256i)codes);
    const __m256 high = _mm256_load_ps(table_ + 8);
    return (vec<kLanes>)_mm256_blendv_ps(_mm256_permutevar8x32_ps(low, (__m256i)codes),
                                         _mm256_permutevar8x32_ps(high, (__m256i)codes), (__m256)(codes << 28));
#else
    vec<kLanes> found = {};
    GOSSAMER_UNROLL
    for (int i = 0; i < kLanes; ++i) found[i] = table_[codes[i] & 15];
    return found;
#endif
  }

 private:
  alignas(64) float table_[16];
};

// What both inputs share: sizes, and how the totals of a tile are written.
template <int bits>
struct Common {
  static constexpr int kCodes = 32 / bits;  // of a word

  static std::int64_t words(const FewBits& p) { return ceil_div(p.columns, kCodes); }
  static std::int64_t group_words(const FewBits& p) {
    return larger<std::int64_t>(ceil_div(smaller(p.group, p.columns), kCodes), 1);
  }
  static std::int64_t groups(const FewBits& p) { return ceil_div(words(p), group_words(p)); }
  static std::int64_t work(const FewBits& p) { return p.rows * p.columns * p.outputs / kOutputs; }

  template <int N>
  static void write(const FewBits& p, std::int64_t block, const vec<kLanes> (&total)[N][kParts], std::int64_t first,
                    std::int64_t count) {
    const std::int64_t row = block * kOutputs, lanes = smaller<std::int64_t>(kOutputs, p.outputs - row);
    const Lanes bias(p.bias, row, lanes);
    const auto finish = [&](float* out, std::int64_t to_next) __attribute__((always_inline)) {
      GOSSAMER_UNROLL
      for (int n = 0; n < N; ++n) {
        const float scale = p.x_scale == nullptr || n >= count ? 1.0f : p.x_scale[first + n];
        GOSSAMER_UNROLL
        for (int s = 0; s < kParts; ++s) store<kLanes>(out + n * to_next + s * kLanes, scale * total[n][s] + bias.at(s));
      }
    };
    write_tile<N>(p.out + first * p.outputs + row, p.outputs, count, lanes, finish);
  }
};

// The input is laid out in the order in which shifting a word right brings up its codes, then the sum of each group.
template <int bits>
struct FloatKernel : Common<bits> {
  using C = Common<bits>;
  using C::kCodes;

  static std::int64_t panel_words(const FewBits& p) { return C::words(p) * kCodes + C::groups(p); }

  static void lay_out(const FewBits& p, std::int64_t first, std::int64_t count, std::int64_t width,
                      std::uint32_t* panel) {
    const auto* x = static_cast<const float*>(p.x) + first * p.columns;
    auto* to = reinterpret_cast<float*>(panel);
    const std::int64_t words = C::words(p), group = C::group_words(p) * kCodes;
    constexpr int of_byte = kCodes / 4;
    for (std::int64_t n = 0; n < width; ++n) {
      const float* row = x + n * p.columns;
      for (std::int64_t w = 0; w < words; ++w)
        for (int s = 0; s < kCodes; ++s) {
          const std::int64_t from = w * kCodes + 4 * (s % of_byte) + s / of_byte;
          to[(w * kCodes + s) * width + n] = n < count && from < p.columns ? row[from] : 0.0f;
        }
      float* sums = to + words * kCodes * width + n;
      for (std::int64_t g = 0; g < C::groups(p); ++g) {
        float sum = 0.0f;
        if (p.offsets != nullptr && n < count)
          for (std::int64_t k = g * group; k < smaller((g + 1) * group, p.columns); ++k) sum += row[k];
        sums[g * width] = sum;
      }
    }
  }

  template <int N>
  static void tile(const FewBits& p, std::int64_t block, const std::uint32_t* panel, std::int64_t first,
                   std::int64_t count) {
    constexpr int chains = N * kParts >= 4 ? 1 : 4 / (N * kParts);  // enough sums to hide the latency of an addition
    constexpr int run = N >= 4 ? 4 : kCodes;                        // codes whose code is written out
    const std::int64_t words = C::words(p), group = C::group_words(p), groups = C::groups(p);
    const Levels<bits> levels(p.levels);
    const std::uint32_t* codes = p.panels + block * words * kOutputs;
    const auto* x = reinterpret_cast<const float*>(panel);
    const float* sums = x + words * kCodes * N;
    vec<kLanes> total[N][kParts] = {};
    for (std::int64_t g = 0; g < groups; ++g) {
      vec<kLanes> part[chains][N][kParts] = {};
      const std::int64_t stop = smaller((g + 1) * group, words);
      for (std::int64_t w = g * group; w < stop; ++w) {
        words_t word[kParts];
        GOSSAMER_UNROLL
        for (int s = 0; s < kParts; ++s) word[s] = load_words(codes + w * kOutputs + s * kLanes);
        for (int c = 0; c < kCodes; c += run) {
          GOSSAMER_UNROLL
          for (int i = 0; i < run; ++i, x += N) {
            GOSSAMER_UNROLL
            for (int s = 0; s < kParts; ++s) {
              const vec<kLanes> level = levels.of(word[s]);
              word[s] >>= bits;
              GOSSAMER_UNROLL
              for (int n = 0; n < N; ++n) part[i % chains][n][s] += x[n] * level;
            }
          }
        }
      }
      const std::int64_t at = (block * groups + g) * kOutputs;
      GOSSAMER_UNROLL
      for (int s = 0; s < kParts; ++s) {
        const vec<kLanes> scale = load<kLanes>(p.scales + at + s * kLanes);
        GOSSAMER_UNROLL
        for (int n = 0; n < N; ++n) {
          GOSSAMER_UNROLL
          for (int j = 1; j < chains; ++j) part[0][n][s] += part[j][n][s];
          total[n][s] += scale * part[0][n][s];
          if (p.offsets != nullptr) total[n][s] += sums[g * N + n] * load<kLanes>(p.offsets + at + s * kLanes);
        }
      }
    }
    C::template write<N>(p, block, total, first, count);
  }
};

// The input is laid out as ByteDot wants it, then the sum of each group.
template <int bits>
struct ByteKernel : Common<bits> {
  using C = Common<bits>;
  using C::kCodes;
  static constexpr int kQuads = kCodes / 4;  // words of the input that a word of codes meets

  static std::int64_t panel_words(const FewBits& p) {
    return C::words(p) * kQuads * ByteDot::kExpand + C::groups(p);
  }

  static void lay_out(const FewBits& p, std::int64_t first, std::int64_t count, std::int64_t width,
                      std::uint32_t* panel) {
    const std::int64_t length = ceil_div(p.columns, 4), all = C::words(p) * kQuads, group = C::group_words(p) * kQuads;
    const auto* x = static_cast<const std::uint32_t*>(p.x) + first * length;
    std::uint32_t* sums = panel + all * ByteDot::kExpand * width;
    for (std::int64_t n = 0; n < width; ++n) {
      const std::uint32_t* row = x + n * length;
      for (std::int64_t w = 0; w < all; ++w)
        ByteDot::lay_out(n < count && w < length ? row[w] : 0, panel + w * ByteDot::kExpand * width + n, width);
      for (std::int64_t g = 0; g < C::groups(p); ++g)
        sums[g * width + n] =
            n < count ? sum_bytes(row + g * group, smaller((g + 1) * group, length) - g * group) : 0;
    }
  }

  template <int N>
  static void tile(const FewBits& p, std::int64_t block, const std::uint32_t* panel, std::int64_t first,
                   std::int64_t count) {
    const std::int64_t words = C::words(p), group = C::group_words(p), groups = C::groups(p);
    constexpr std::uint32_t mask = 0x01010101u * ((1u << bits) - 1);
    const std::uint32_t* codes = p.panels + block * words * kOutputs;
    const std::uint32_t* x = panel;
    const std::uint32_t* sums = panel + words * kQuads * ByteDot::kExpand * N;
    vec<kLanes> total[N][kParts] = {};
    for (std::int64_t g = 0; g < groups; ++g) {
      words_t part[N][kParts] = {};
      const std::int64_t stop = smaller((g + 1) * group, words);
      for (std::int64_t w = g * group; w < stop; ++w) {
        words_t word[kParts];
        GOSSAMER_UNROLL
        for (int s = 0; s < kParts; ++s) word[s] = load_words(codes + w * kOutputs + s * kLanes);
        GOSSAMER_UNROLL
        for (int q = 0; q < kQuads; ++q, x += ByteDot::kExpand * N) {
          GOSSAMER_UNROLL
          for (int s = 0; s < kParts; ++s) {
            const ByteDot::Weights weights = ByteDot::of_unsigned((word[s] >> (q * bits)) & mask);
            GOSSAMER_UNROLL
            for (int n = 0; n < N; ++n) part[n][s] = ByteDot::add(part[n][s], weights, x + n, N);
          }
        }
      }
      const std::int64_t at = (block * groups + g) * kOutputs;
      GOSSAMER_UNROLL
      for (int s = 0; s < kParts; ++s) {
        const vec<kLanes> scale = load<kLanes>(p.scales + at + s * kLanes);
        GOSSAMER_UNROLL
        for (int n = 0; n < N; ++n) {
          const std::uint32_t sum = sums[g * N + n];
          const words_t shifted = part[n][s] - static_cast<std::uint32_t>(p.zero) * sum;
          total[n][s] += scale * __builtin_convertvector((ints_t)shifted, vec<kLanes>);
          if (p.offsets != nullptr)
            total[n][s] += static_cast<float>(static_cast<std::int32_t>(sum)) * load<kLanes>(p.offsets + at + s * kLanes);
        }
      }
    }
    C::template write<N>(p, block, total, first, count);
  }
};

template <template <int> class Kernel>
std::size_t scratch_of(const FewBits& p) {
  return p.bits == 1   ? tiles_scratch<Kernel<1>>(p)
         : p.bits == 2 ? tiles_scratch<Kernel<2>>(p)
                       : tiles_scratch<Kernel<4>>(p);
}

template <template <int> class Kernel>
void run(const FewBits& p, std::uint32_t* scratch) {
  if (p.bits == 1) return multiply_tiles<Kernel<1>>(p, scratch);
  if (p.bits == 2) return multiply_tiles<Kernel<2>>(p, scratch);
  multiply_tiles<Kernel<4>>(p, scratch);
}

}  // namespace

std::size_t few_bits_scratch(const FewBits& p) { return scratch_of<FloatKernel>(p); }

void few_bits(const FewBits& p, std::uint32_t* scratch) { run<FloatKernel>(p, scratch); }

std::size_t few_bits_int8_scratch(const FewBits& p) { return scratch_of<ByteKernel>(p); }

void few_bits_int8(const FewBits& p, std::uint32_t* scratch) { run<ByteKernel>(p, scratch); }

}  // namespace gossamer::GOSSAMER_ISA
