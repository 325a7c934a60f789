// XXH64 with seed 0, after its published specification: 64 bits that change with any byte, as fast as memory is read.
// It tells damage, not forgery.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer::engine {

std::uint64_t checksum(const void* data, std::size_t bytes);

}  // namespace gossamer::engine
