// Skip-gram on one thread: vectors of nodes that walk together come near each other. Several threads write without
// waiting by design, so that form is not part of these tests.
#include "../kernels/skipgram.hpp"

#include "check.hpp"
#include "levels.hpp"

GOSSAMER_TABLES(SkipGramKernels, skipgram_table)

namespace gossamer::tests {
namespace {

void trains(const Level<SkipGramKernels>& level) {
  const std::int64_t nodes = 10, stride = 32, count = 400, length = 8;
  Random random(5);
  Lent vectors(nodes * stride), contexts(nodes * stride);
  for (std::int64_t i = 0; i < nodes * stride; ++i) {
    vectors.get()[i] = i % stride < 20 ? 0.1f * random.number() : 0.0f;
    contexts.get()[i] = 0.0f;
  }
  std::vector<std::int64_t> walks(static_cast<std::size_t>(count * length));
  for (std::int64_t i = 0; i < count * length; ++i)
    walks[i] = i % length == 7 ? -1 : random.below(5) + 5 * (i / length % 2);  // two groups that never meet
  std::vector<std::uint64_t> noise(nodes, 0xFFFFFFFF00000000u);
  for (std::int64_t node = 0; node < nodes; ++node) noise[node] |= static_cast<std::uint64_t>(node);
  std::vector<std::int32_t> kept(walks.size());
  const SkipGram job{vectors.get(), contexts.get(), nodes, stride, walks.data(), count, length, nullptr, noise.data(),
                     3,             4,              0.05,  0.01,   0,            count, 11,     kept.data(), 1};
  expect(level.table->train(job), std::string(level.name) + " skip-gram: refused");
  const auto together = [&](std::int64_t a, std::int64_t b) {
    float sum = 0.0f;
    for (std::int64_t f = 0; f < stride; ++f) sum += vectors.get()[a * stride + f] * contexts.get()[b * stride + f];
    return sum;
  };
  float near = 0.0f, far = 0.0f;
  for (std::int64_t a = 0; a < nodes; ++a)
    for (std::int64_t b = 0; b < nodes; ++b) (a / 5 == b / 5 ? near : far) += together(a, b);
  expect(near > far + 1.0f, std::string(level.name) + " skip-gram: groups are not told apart");
  for (std::int64_t i = 0; i < nodes * stride; ++i)
    expect(i % stride < 20 || vectors.get()[i] == 0.0f, std::string(level.name) + " skip-gram: wrote beyond the vector");
}

}  // namespace

void test_skipgram() {
  for (const auto& level : levels_of_skipgram_table()) trains(level);
}

}  // namespace gossamer::tests
