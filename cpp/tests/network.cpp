// Files of networks through the C functions: what a good one computes, on one thread and on many, and that every damage is
// refused.
#include <gossamer.h>

#include <thread>

#include "check.hpp"
#include "network_file.hpp"

namespace gossamer::tests {
namespace {

gossamer_network* opened(const std::vector<std::byte>& file) {
  gossamer_network* network = nullptr;
  return gossamer_open_memory(file.data(), file.size(), 1, &network) == GOSSAMER_OK ? network : nullptr;
}

// Opens and runs; says whether both worked.
bool answers(const std::vector<std::byte>& file) {
  gossamer_network* network = opened(file);
  gossamer_context* context = nullptr;
  const gossamer_shape shape{2, {2, kColumns}};
  const bool good = network != nullptr && gossamer_prepare(network, &shape, 1, &context) == GOSSAMER_OK;
  gossamer_release(context);
  gossamer_close(network);
  return good;
}

void check_answer(const gossamer_context* context, std::int64_t batch, unsigned seed) {
  Random random(seed);
  const std::vector<float> x = random.numbers(batch * kColumns);
  std::vector<float> out(static_cast<std::size_t>(batch * kOutputs)), wanted;
  const void* from = x.data();
  void* to = out.data();
  expect(gossamer_run(context, &from, 1, &to, 1) == GOSSAMER_OK, gossamer_message());
  for (std::int64_t row = 0; row < batch; ++row)
    for (std::int64_t o = 0; o < kOutputs; ++o) {
      double sum = 0.5 * static_cast<double>(o);
      for (std::int64_t c = 0; c < kColumns; ++c)
        sum += static_cast<double>(x[row * kColumns + c]) * (static_cast<double>((c * kOutputs + o) % 7) - 3.0);
      wanted.push_back(static_cast<float>(std::max(sum, 0.0)));
    }
  expect_close(out, wanted, "a network from a file");
}

void test_answers() {
  gossamer_network* network = opened(small_file());
  if (network == nullptr) return fail(std::string("a good file is refused: ") + gossamer_message());
  gossamer_port port;
  expect(gossamer_input(network, 0, &port) == GOSSAMER_OK && port.shape.size[0] == -1 && port.shape.size[1] == kColumns &&
             std::string(port.label[0]) == "batch",
         "the signature is another");
  expect(gossamer_input(network, 1, &port) == GOSSAMER_BAD_ARGUMENT, "there is a second input");
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed)
    threads.emplace_back([network, seed] {
      for (std::int64_t batch = 0; batch < 30; ++batch) {
        const gossamer_shape shape{2, {batch, kColumns}};
        gossamer_context* context = nullptr;
        if (gossamer_prepare(network, &shape, 1, &context) != GOSSAMER_OK) return fail(gossamer_message());
        check_answer(context, batch, seed);
        gossamer_release(context);
      }
    });
  for (std::thread& thread : threads) thread.join();
  const gossamer_shape wrong{2, {2, kColumns + 1}}, negative{2, {-1, kColumns}};
  gossamer_context* context = nullptr;
  expect(gossamer_prepare(network, &wrong, 1, &context) == GOSSAMER_BAD_SHAPE, "a wrong shape is taken");
  expect(gossamer_prepare(network, &negative, 1, &context) == GOSSAMER_BAD_SHAPE, "a negative size is taken");
  const gossamer_shape one{2, {1, kColumns}};
  expect(gossamer_prepare(network, &one, 1, &context) == GOSSAMER_OK, "a good shape is refused");
  gossamer_close(network);
  check_answer(context, 1, 9);  // a context outlives its network
  const void* nothing = nullptr;
  float room[kOutputs];
  void* to = room;
  expect(gossamer_run(context, &nothing, 1, &to, 1) == GOSSAMER_BAD_ARGUMENT, "a null input is taken");
  gossamer_release(context);
}

void test_damage() {
  const std::vector<std::byte> file = small_file();
  expect(answers(file), "a good file is refused");
  for (std::size_t bytes = 0; bytes < file.size(); ++bytes)
    expect(!answers({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(bytes)}), "a file is taken that was cut off");
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::vector<std::byte> other = file;
    other[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    expect(!answers(other), "a file is taken of which bit " + std::to_string(bit) + " has changed");
  }
}

}  // namespace

void test_network() {
  test_answers();
  test_damage();
}

}  // namespace gossamer::tests
