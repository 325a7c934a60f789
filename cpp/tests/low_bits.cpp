// Products of few bits: packed by the kernels, compared with integers and floats that were never packed.
#include "../kernels/low_bits.hpp"

#include <algorithm>
#include <array>

#include "check.hpp"
#include "levels.hpp"

GOSSAMER_TABLES(LowBits, low_bits)
#ifdef GOSSAMER_X86
GOSSAMER_DECLARE(avx512vnni, LowBits, low_bits)
#endif

namespace gossamer::tests {
namespace {

using Words = std::vector<std::uint32_t>;
using Pack = void (*LowBits::*)(const Quantize&);
using Multiply = void (*LowBits::*)(const WordProduct&, std::uint32_t*);
using Lend = std::size_t (*LowBits::*)(const WordProduct&);

enum class Kind { binary, ternary, int8 };

std::int64_t words_of(Kind kind, std::int64_t columns) { return kind == Kind::int8 ? (columns + 3) / 4 : (columns + 31) / 32; }

struct Packed {
  Words words;
  std::vector<float> scale;
};

Packed pack(const LowBits& table, Kind kind, const std::vector<float>& x, std::int64_t rows, std::int64_t columns, int threads) {
  const std::int64_t each = words_of(kind, columns) * (kind == Kind::ternary ? 2 : 1);
  Packed made{Words(static_cast<std::size_t>(rows * each)), std::vector<float>(static_cast<std::size_t>(rows))};
  const Pack packs[] = {&LowBits::pack_signs, &LowBits::pack_ternary, &LowBits::pack_bytes};
  (table.*packs[static_cast<int>(kind)])(
      {rows, columns, x.data(), 0.5f, false, nullptr, made.words.data(), made.scale.data(), threads});
  return made;
}

// Words of rows to panels: the words of 16 rows side by side.
Words panels(const Words& words, std::int64_t rows, std::int64_t each) {
  Words made(static_cast<std::size_t>((rows + 15) / 16 * each * 16));
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t w = 0; w < each; ++w) made[(row / 16 * each + w) * 16 + row % 16] = words[row * each + w];
  return made;
}

Words pair_panels(const Words& words, std::int64_t rows, std::int64_t each) {
  Words made(static_cast<std::size_t>((rows + 15) / 16 * each * 32));
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t w = 0; w < each; ++w)
      for (std::int64_t plane = 0; plane < 2; ++plane)
        made[((row / 16 * each + w) * 2 + plane) * 16 + row % 16] = words[(row * each + w) * 2 + plane];
  return made;
}

// What the number at (row, column) stands for; bytes are read back, as a number between two of them may go to either.
int stands_for(Kind kind, const std::vector<float>& x, const Packed& packed, std::int64_t row, std::int64_t column,
               std::int64_t columns) {
  const float value = x[row * columns + column];
  if (kind == Kind::binary) return std::signbit(value) ? -1 : 1;
  if (kind == Kind::ternary) return std::fabs(value) > 0.5f ? (value < 0.0f ? -1 : 1) : 0;
  const std::uint32_t word = packed.words[row * words_of(kind, columns) + column / 4];
  const int byte = static_cast<std::int8_t>(word >> (column % 4 * 8));
  expect(std::fabs(static_cast<float>(byte) * packed.scale[row] - value) <= 0.501f * packed.scale[row],
         "a byte is not the nearest");
  return byte;
}

void product(const Level<LowBits>& level, Kind kind, std::int64_t rows, std::int64_t columns, std::int64_t outputs,
             Random& random) {
  const std::string what = std::string(level.name) + " product of kind " + std::to_string(static_cast<int>(kind)) +
                           ", " + std::to_string(columns) + " columns";
  const auto x = random.numbers(rows * columns), weight = random.numbers(outputs * columns);
  const Packed left = pack(*level.table, kind, x, rows, columns, 2), right = pack(*level.table, kind, weight, outputs, columns, 1);
  const std::int64_t each = words_of(kind, columns);
  const Words side = kind == Kind::ternary ? pair_panels(right.words, outputs, each) : panels(right.words, outputs, each);
  std::vector<std::int32_t> wanted(static_cast<std::size_t>(rows * outputs));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t c = 0; c < columns; ++c)
        wanted[r * outputs + o] +=
            stands_for(kind, x, left, r, c, columns) * stands_for(kind, weight, right, o, c, columns);
  const Lend lends[] = {&LowBits::binary_scratch, &LowBits::ternary_scratch, &LowBits::int8_scratch};
  const Multiply multiplies[] = {&LowBits::binary, &LowBits::ternary, &LowBits::int8};
  const auto found =
      same_for_all_threads<std::int32_t>(wanted.size(), what, [&](std::vector<std::int32_t>& out, int threads) {
        WordProduct p{};
        p.rows = rows;
        p.columns = columns;
        p.words = each;
        p.outputs = outputs;
        p.x = left.words.data();
        p.panels = side.data();
        p.out = out.data();
        p.threads = threads;
        const Lent lent((level.table->*lends[static_cast<int>(kind)])(p));
        (level.table->*multiplies[static_cast<int>(kind)])(p, lent.words());
        return true;
      });
  expect(found == wanted, what + ": differs from the integers");
}

void few_bits(const Level<LowBits>& level, int bits, std::int64_t rows, std::int64_t columns, std::int64_t outputs,
              std::int64_t group, Random& random) {
  const std::string what = std::string(level.name) + " " + std::to_string(bits) + "-bit weights";
  const std::int64_t per_word = 32 / bits, each = (columns + per_word - 1) / per_word;
  const std::int64_t groups = (columns + group - 1) / group, blocks = (outputs + 15) / 16;
  std::vector<int> codes(static_cast<std::size_t>(outputs * columns));
  Words side(static_cast<std::size_t>(blocks * each * 16));
  for (std::int64_t o = 0; o < outputs; ++o)
    for (std::int64_t c = 0; c < columns; ++c) {
      const int code = static_cast<int>(random.below(1 << bits));
      codes[o * columns + c] = code;
      const std::int64_t inside = c % per_word;  // byte b holds, from its low bits up, the inputs b, b + 4, b + 8, ...
      const std::int64_t shift = inside % 4 * 8 + inside / 4 * bits;
      side[(o / 16 * each + c / per_word) * 16 + o % 16] |= static_cast<std::uint32_t>(code) << shift;
    }
  std::vector<float> scales(static_cast<std::size_t>(blocks * groups * 16)), levels = random.numbers(1 << bits);
  for (float& scale : scales) scale = random.number();
  const auto x = random.numbers(rows * columns);
  std::vector<float> wanted(static_cast<std::size_t>(rows * outputs));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t c = 0; c < columns; ++c)
        wanted[r * outputs + o] += x[r * columns + c] * levels[codes[o * columns + c]] *
                                   scales[(o / 16 * groups + c / group) * 16 + o % 16];
  const auto found = same_for_all_threads<float>(wanted.size(), what, [&](std::vector<float>& out, int threads) {
    FewBits p{};
    p.rows = rows;
    p.columns = columns;
    p.outputs = outputs;
    p.bits = bits;
    p.group = group;
    p.x = x.data();
    p.panels = side.data();
    p.scales = scales.data();
    p.levels = levels.data();
    p.out = out.data();
    p.threads = threads;
    const Lent lent(level.table->few_bits_scratch(p));
    level.table->few_bits(p, lent.words());
    return true;
  });
  expect_close(found, wanted, what, 1e-3f);
}

}  // namespace

void test_low_bits() {
  Random random(3);
  auto levels = levels_of_low_bits();
#ifdef GOSSAMER_X86
  if (has(Has::avx512vnni)) levels.push_back({"avx512vnni", &avx512vnni::low_bits});
#endif
  for (const auto& level : levels) {
    for (const auto& [rows, columns, outputs] :
         std::vector<std::array<std::int64_t, 3>>{{1, 1, 1}, {3, 33, 17}, {9, 200, 40}, {70, 129, 65}})
      for (const Kind kind : {Kind::binary, Kind::ternary, Kind::int8}) product(level, kind, rows, columns, outputs, random);
    for (const int bits : {1, 2, 4})
      for (const auto& [rows, columns, outputs] :
           std::vector<std::array<std::int64_t, 3>>{{1, 32, 16}, {1, 200, 21}, {7, 96, 40}})
        few_bits(level, bits, rows, columns, outputs, 64, random);
  }
}

}  // namespace gossamer::tests
