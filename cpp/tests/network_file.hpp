// A small network's file, made by hand: out = relu(x W + b) for x of (batch, 3), with a dense W of 16 outputs.
#pragma once

#include <cstring>
#include <vector>

#include "../engine/checksum.hpp"
#include "../engine/file.hpp"

namespace gossamer::tests {

inline constexpr std::int64_t kColumns = 3, kOutputs = 16;

using Words = std::vector<std::int64_t>;

inline void append(Words& to, const Words& more) { to.insert(to.end(), more.begin(), more.end()); }

inline void append_text(Words& to, const std::string& text) {
  to.push_back(static_cast<std::int64_t>(text.size()));
  std::vector<std::int64_t> words((text.size() + 7) / 8);
  if (!text.empty()) std::memcpy(words.data(), text.data(), text.size());
  append(to, words);
}

inline Words small_plan() {
  const Words batch{1, 1, 0};
  const auto fixed = [](std::int64_t n) { return Words{1, 0, n}; };
  Words plan{engine::kPlanVersion, 4, 1, 0, 0, 6};  // constants; a symbol: axis 0 of input 0; six values
  const auto value = [&](engine::Kind kind, engine::Number number, std::int64_t place, const std::vector<Words>& sizes) {
    append(plan, {static_cast<std::int64_t>(kind), static_cast<std::int64_t>(number), place, static_cast<std::int64_t>(sizes.size())});
    for (const Words& size : sizes) append(plan, size);
  };
  using engine::Kind, engine::Number;
  value(Kind::input, Number::float32, 0, {batch, fixed(kColumns)});
  value(Kind::constant, Number::float32, 0, {fixed(kColumns), fixed(kOutputs)});
  value(Kind::constant, Number::int64, 1, {fixed(2)});
  value(Kind::constant, Number::int32, 2, {fixed(kColumns)});
  value(Kind::constant, Number::float32, 3, {fixed(kOutputs)});
  value(Kind::result, Number::float32, 0, {batch, fixed(kOutputs)});
  append(plan, {1, static_cast<std::int64_t>(engine::What::linear), 5, 0, 1, 2, 3, 4, 1, 5, 4});
  for (const std::int64_t size : {kOutputs, kColumns, std::int64_t{16}, std::int64_t{1}}) append(plan, fixed(size));
  append(plan, {0, 0, 1, 0, 1, 5});  // no numbers, no program; input and output
  return plan;
}

inline std::vector<std::byte> with_head(const Words& words, const std::vector<std::byte>& data) {
  const std::size_t head = 32 + words.size() * 8 + 8;
  std::vector<std::byte> file(head + data.size());
  const std::int64_t start[4] = {static_cast<std::int64_t>(engine::kMagic), engine::kFileVersion, static_cast<std::int64_t>(head),
                                 static_cast<std::int64_t>(file.size())};
  std::memcpy(file.data(), start, sizeof start);
  std::memcpy(file.data() + 32, words.data(), words.size() * 8);
  const std::uint64_t sum = engine::checksum(file.data(), head - 8);
  std::memcpy(file.data() + head - 8, &sum, 8);
  if (!data.empty()) std::memcpy(file.data() + head, data.data(), data.size());
  return file;
}

inline std::vector<std::byte> small_file() {
  std::vector<std::byte> data(64 * 6);
  float weights[kColumns * kOutputs];
  for (int i = 0; i < kColumns * kOutputs; ++i) weights[i] = static_cast<float>(i % 7) - 3.0f;
  const std::int64_t starts[2] = {0, kColumns};
  const std::int32_t indices[kColumns] = {0, 1, 2};
  float bias[kOutputs];
  for (int i = 0; i < kOutputs; ++i) bias[i] = 0.5f * static_cast<float>(i);
  std::memcpy(data.data(), weights, sizeof weights);  // 192 bytes
  std::memcpy(data.data() + 192, starts, sizeof starts);
  std::memcpy(data.data() + 256, indices, sizeof indices);
  std::memcpy(data.data() + 320, bias, sizeof bias);

  const auto head_of = [&](std::int64_t at, std::size_t spaces) {
    Words words{0, 1};
    append_text(words, "{}" + std::string(spaces, ' '));
    words.push_back(1);
    append_text(words, "x");
    words.push_back(2);
    append_text(words, "batch");
    append_text(words, "");
    words.push_back(1);
    append_text(words, "output");
    words.push_back(2);
    append_text(words, "batch");
    append_text(words, "");
    append(words, {4, at, 192, at + 192, 16, at + 256, 12, at + 320, 64});
    append(words, {1, static_cast<std::int64_t>(engine::checksum(data.data(), data.size()))});
    const Words plan = small_plan();
    words.push_back(static_cast<std::int64_t>(plan.size()));
    append(words, plan);
    return words;
  };
  std::size_t spaces = 6;
  while ((head_of(0, spaces).size() + 5) % 8 != 0) spaces += 8;
  return with_head(head_of(static_cast<std::int64_t>((head_of(0, spaces).size() + 5) * 8), spaces), data);
}

}  // namespace gossamer::tests
