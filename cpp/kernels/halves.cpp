// Whole arrays of bfloat16 to floats and back, for the kernels that work on floats only.
#include "sparse_layer.hpp"
#include "tiles.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kPiece = 1 << 15;  // numbers that a thread converts at a time

}  // namespace

void widen_all(const void* from, float* to, std::int64_t count, [[maybe_unused]] int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && count > kPiece)
  for (std::int64_t i = 0; i < count; i += kPiece)
    widen_line(to + i, static_cast<const BFloat16*>(from) + i, smaller(kPiece, count - i));
}

void narrow_all(const float* from, void* to, std::int64_t count, [[maybe_unused]] int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && count > kPiece)
  for (std::int64_t i = 0; i < count; i += kPiece)
    narrow_line(static_cast<BFloat16*>(to) + i, from + i, smaller(kPiece, count - i));
}

}  // namespace gossamer::GOSSAMER_ISA
